"""Results as tables."""

import sys
import unittest
from unittest import mock

from trialmesh import Answer

STRATA = {"request": {"analysis": {"kind": "moments", "by": ["sex", "age-group"]}}}
COUNT = Answer({"id": "ab" * 32, "state": "complete", **STRATA, "result": {
    "answered": [{"node": "did:key:z"}], "refused": [{"node": "did:key:y"}],
    "cells": [
        {"levels": ["female", "0-17"], "n": 40, "sitesWithheld": 0, "withheld": False, "mean": 1.5, "sd": 0.5},
        {"levels": ["male", "0-17"], "n": 0, "sitesWithheld": 3, "withheld": True},
    ],
    "total": {"levels": [], "n": 40},
}})
MODEL = Answer({"id": "cd" * 32, "state": "complete", "result": {"answered": [], "regression": {
    "aic": 3.5, "coefficients": [{"name": "(Intercept)", "estimate": 1.0, "p": 1e-9}, {"name": "sexother"}],
}}})
LATER = Answer({"id": "ef" * 32, "state": "complete", "result": {
    "survival": {"strata": [{"name": "a", "curve": {"median": 4, "at": [1, 2]}}], "tests": [{"p": 0.5}]},
}})


class AnswerTest(unittest.TestCase):
    def test_cells_have_their_strata_and_withheld_ones_no_number(self):
        self.assertEqual(COUNT.rows(), [
            {"sex": "female", "age-group": "0-17", "n": 40, "sitesWithheld": 0, "withheld": False, "mean": 1.5, "sd": 0.5},
            {"sex": "male", "age-group": "0-17", "n": None, "sitesWithheld": 3, "withheld": True, "mean": None, "sd": None},
        ])
        self.assertEqual(list(COUNT.tables), ["cells"])

    def test_a_missing_package_is_named_with_the_folder_that_has_it(self):
        for name, extra, call in ("pandas", "pandas", COUNT.to_pandas), ("pyarrow", "arrow", COUNT.to_arrow):
            with mock.patch.dict(sys.modules, {name: None}), self.assertRaisesRegex(ImportError, rf"package {name}: .*'\./protocol/sdk/python\[{extra}\]'"):
                call()

    def test_coefficients_that_others_determine_have_no_number(self):
        self.assertEqual(MODEL.rows("regression.coefficients"), [
            {"name": "(Intercept)", "estimate": 1.0, "p": 1e-9}, {"name": "sexother", "estimate": None, "p": None},
        ])
        self.assertEqual(MODEL.model["aic"], 3.5)

    def test_what_later_methods_give_is_in_tables_too(self):
        self.assertEqual(LATER.tables, {
            "survival.strata": [{"name": "a", "curve.median": 4, "curve.at": [1, 2]}], "survival.tests": [{"p": 0.5}],
        })
        with self.assertRaisesRegex(KeyError, "it has survival.strata, survival.tests"):
            LATER.rows("cells")

    def test_an_open_question_has_no_rows(self):
        self.assertEqual(Answer({"id": "ab" * 32, "state": "open"}).rows(), [])

    def test_a_data_frame(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("no package pandas: apt-get install python3-pandas")
        frame = COUNT.to_pandas()
        self.assertEqual(dict(frame.dtypes.astype(str)), {
            "sex": "object", "age-group": "object", "n": "Int64", "sitesWithheld": "Int64", "withheld": "bool", "mean": "float64", "sd": "float64",
        })
        self.assertIs(frame["n"][1], pandas.NA)
        self.assertEqual(frame["n"].sum(), 40)
        self.assertEqual(list(MODEL.to_pandas()["estimate"].isna()), [False, True])
        self.assertTrue(Answer({"id": "ab" * 32, "state": "open"}).to_pandas().empty)

    def test_an_arrow_table(self):
        try:
            import pyarrow
        except ImportError:
            self.skipTest("no package pyarrow, which Debian 12 has not: pip install pyarrow")
        table = COUNT.to_arrow()
        self.assertEqual(table.schema.field("n").type, pyarrow.int64())
        self.assertEqual(table.to_pylist(), COUNT.rows())
