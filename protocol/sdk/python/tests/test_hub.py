"""What is asked of a hub, and what is made of its answers."""

import datetime
import json
import tempfile
import unittest
from pathlib import Path

import trialmesh
from trialmesh import envelope

from .stub import certificate, serving

COHORT = {"ConceptSets": [], "PrimaryCriteria": {"CriteriaList": [{"VisitOccurrence": {}}]}}
NODES = ["did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", "did:key:z6MktNWXFy7fn9kNfwfvD9e2rDK3RPetS4MRKtZH8AxQzg9y"]
ID = "ab" * 32
OPEN = {"id": ID, "trial": "bp", "state": "open", "rounds": 0, "waiting": [], "accesses": [], "proofsDone": False}
COMPLETE = {**OPEN, "state": "complete", "result": {"query": ID, "state": "complete", "answered": [{}, {}], "cells": []}}


def said(document, status=200):
    return status, {}, json.dumps(document).encode()


def accepted(asked):
    """The hub's answer to a question: its id is the digest of what was signed."""
    sealed = json.loads(asked[3])["envelope"]
    return said({"id": envelope.digest(sealed), "ledgerIndex": 7, "existed": False}, 202)


class HubTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.root = certificate(folder.name)
        cls.token = cls.folder / "researcher.token"
        cls.token.write_text("secret\n")
        cls.key = trialmesh.Key.from_seed(bytes(32))

    def hub(self, url, **options):
        hub = trialmesh.Hub(url, key=self.key, token_file=self.token, root=self.root, **options)
        hub._caller.sleep = lambda _: None
        self.addCleanup(hub.close)
        return hub

    def test_a_question_is_signed_and_sent_once_more_if_nobody_knows_what_became_of_it(self):
        with serving(None, accepted, tls=self.root) as (url, asked):
            question_id = self.hub(url).submit({"trial": "bp", "purpose": "x", "cohort": COHORT, "analysis": {"kind": "count"}}, deadline=90)
        self.assertEqual(len(asked), 2)
        self.assertEqual(asked[0][3], asked[1][3], "the same envelope is the same question")
        method, path, headers, body = asked[1]
        self.assertEqual((method, path, headers["Authorization"]), ("POST", "/v1/queries", "Bearer secret"))
        sent = json.loads(body)
        self.assertEqual(sent["deadlineSeconds"], 90)
        request = envelope.check(sent["envelope"], envelope.REQUEST, datetime.datetime.now(datetime.timezone.utc))
        self.assertEqual(request, {"trial": "bp", "purpose": "x", "cohort": COHORT, "analysis": {"kind": "count"}})
        self.assertEqual((sent["envelope"]["issuer"], envelope.digest(sent["envelope"])), (self.key.did, question_id))

    def test_each_kind_says_what_the_guide_says(self):
        pressure = trialmesh.measured(3004249, "mm[Hg]", 50, 260)
        column = trialmesh.measurement(3004249, "mm[Hg]", 50, 260, take="mean", window=(-365, 0))
        common = {"purpose": "why"}
        for ask, analysis in {
            lambda hub: hub.count("bp", COHORT, **common): {"kind": "count"},
            lambda hub: hub.count("bp", COHORT, ["sex", "race"], **common): {"kind": "count", "by": ["sex", "race"]},
            lambda hub: hub.means("bp", COHORT, pressure, ["sex"], **common): {
                "kind": "moments", "by": ["sex"], "variable": {"concept": 3004249, "unit": "mm[Hg]", "take": "last", "low": 50, "high": 260},
            },
            lambda hub: hub.glm(
                "bp", COHORT, "relapse ~ age + p", {
                    "relapse": trialmesh.event("ConditionOccurrence", [443238], window=(1, 365)), "age": "age", "p": column,
                }, "binomial", **common,
            ): {"kind": "glm", "glm": {"formula": "relapse ~ age + p", "family": "binomial"}, "columns": [
                {"name": "relapse", "from": "event", "domain": "ConditionOccurrence", "concepts": [443238], "window": {"from": 1, "to": 365}},
                {"name": "age", "from": "age"},
                {"name": "p", "from": "measurement", "concepts": [3004249], "unit": "mm[Hg]", "take": "mean", "low": 50, "high": 260,
                 "window": {"from": -365, "to": 0}},
            ]},
            lambda hub: hub.ask(
                "cox", trial="bp", cohort=COHORT, cox={"formula": "Surv(days, died) ~ group"}, columns=trialmesh.columns_of({
                    "days": trialmesh.follow_up("Death", window=(1, 365)), "died": trialmesh.outcome("Death", window=(1, 365)),
                    "group": "age-group",
                }), **common,
            ): {"kind": "cox", "cox": {"formula": "Surv(days, died) ~ group"}, "columns": [
                {"name": "days", "from": "follow-up", "domain": "Death", "window": {"from": 1, "to": 365}},
                {"name": "died", "from": "outcome", "domain": "Death", "window": {"from": 1, "to": 365}},
                {"name": "group", "from": "age-group"},
            ]},
            lambda hub: hub.ask("new-kind", trial="bp", cohort=COHORT, speed=[1.5], by=[], **common): {"kind": "new-kind", "speed": [1.5], "by": []},
        }.items():
            with self.subTest(analysis["kind"]), serving(accepted, said(COMPLETE), tls=self.root) as (url, asked):
                self.assertEqual(ask(self.hub(url)).state, "complete")
                self.assertEqual(
                    json.loads(asked[0][3])["envelope"]["body"], {"trial": "bp", "cohort": COHORT, "purpose": "why", "analysis": analysis}
                )

    def test_questions_and_cohorts_come_from_files(self):
        question = {"trial": "bp", "purpose": "x", "cohort": COHORT, "analysis": {"kind": "count"}}
        written = self.folder / "question.json"
        written.write_text(json.dumps(question))
        cohort = self.folder / "cohort.json"
        cohort.write_text(json.dumps(COHORT))
        with serving(accepted, said(COMPLETE), accepted, said(COMPLETE), tls=self.root) as (url, asked):
            self.hub(url).run(written)
            self.hub(url).count("bp", str(cohort), purpose="x")
        for i in (0, 2):
            self.assertEqual(json.loads(asked[i][3])["envelope"]["body"], question)
        for name, text, reason in (
            ("twice.json", '{"trial": "a", "trial": "b"}', "the same name twice"), ("list.json", "[]", "no object"), ("cut.json", '{"a":', "character 5"),
        ):
            (self.folder / name).write_text(text)
            with self.subTest(name), self.assertRaisesRegex(ValueError, f"{name}: .*{reason}"):
                self.hub("https://127.0.0.1:1").submit(self.folder / name)

    def test_a_question_in_yaml(self):
        try:
            import yaml  # noqa: F401
        except ImportError:
            self.skipTest("no package yaml: apt-get install python3-yaml")
        written = self.folder / "question.yaml"
        written.write_text("trial: bp\npurpose: x\ncohort:\n  ConceptSets: []\nanalysis: {kind: count, by: [sex]}\n")
        with serving(accepted, tls=self.root) as (url, asked):
            self.hub(url).submit(written)
        self.assertEqual(json.loads(asked[0][3])["envelope"]["body"]["analysis"], {"kind": "count", "by": ["sex"]})
        for text in ("a: [", "a: !!python/object:os.system {}", "when: 2026-03-01", "trial: a\ntrial: b"):
            written.write_text(text)
            with self.subTest(text), self.assertRaises(ValueError):
                self.hub("https://127.0.0.1:1").submit(written)

    def test_who_waits_is_shown_how_it_goes(self):
        waiting, seen = {**OPEN, "waiting": NODES[:1]}, []
        states = [OPEN, OPEN, waiting, {"nodes": [{"did": NODES[0], "organization": "North Hospital"}]}, {**OPEN, "rounds": 2}, COMPLETE]
        with serving(*map(said, states), tls=self.root) as (url, asked):
            self.hub(url).wait(ID, progress=lambda answer: seen.append(str(answer)))
        self.assertEqual(seen, [
            "question abababababab is open", "question abababababab is open, waits for approval at North Hospital (…X3mDooWp)",
            "question abababababab is open, round 2", "question abababababab is complete, 2 nodes answered",
        ])
        self.assertEqual(asked[0][1], f"/v1/queries/{ID}?wait=result&seconds=1")

    def test_an_answer_that_does_not_come(self):
        with serving(said(OPEN), tls=self.root) as (url, _), self.assertRaisesRegex(trialmesh.OpenError, r"wait\('abababababab'\)") as err:
            self.hub(url).wait(ID, timeout=0)
        self.assertEqual(err.exception.answer.state, "open")

    def test_proofs_are_waited_for(self):
        with serving(said(COMPLETE), said({**COMPLETE, "proofsDone": True}), tls=self.root) as (url, asked):
            self.assertTrue(self.hub(url).wait(ID, proofs=True).json["proofsDone"])
        self.assertEqual(asked[1][1], f"/v1/queries/{ID}?wait=proofs&seconds=30")

    def test_what_is_withheld_names_node_rule_and_fix(self):
        problem = {"type": "urn:trialmesh:problem:refused", "title": "too close to an earlier answer", "status": 403, "rule": "release.differencing"}
        invalid = {"type": "urn:trialmesh:problem:invalid", "title": "query: analysis.by[0]: unknown; known are sex, race", "status": 422}
        withheld = {**OPEN, "state": "withheld", "result": {
            "state": "withheld", "reason": "too few nodes", "answered": [],
            "refused": [{"node": NODES[0], "problem": problem}, {"node": NODES[0], "problem": invalid}],
            "missing": [{"node": NODES[1], "step": "ask"}],
        }}
        nodes = {"nodes": [{"did": NODES[0], "organization": "North Hospital"}]}
        with serving(said(withheld), tls=self.root) as (url, _), self.assertRaisesRegex(trialmesh.WithheldError, "\n  …X3mDooWp: too close"):
            self.hub(url).wait(ID)  # this hub does not say whose nodes they are
        with serving(said(withheld), said(nodes), tls=self.root) as (url, _), self.assertRaises(trialmesh.WithheldError) as err:
            self.hub(url).wait(ID)
        close, unknown, missing = err.exception.refusals
        self.assertEqual((close.node, close.rule, close.field), (NODES[0], "release.differencing", None))
        self.assertIn("something that differs by more people", close.fix)
        self.assertEqual((unknown.rule, unknown.field, unknown.fix), (None, "analysis.by[0]", "unknown; known are sex, race"))
        self.assertEqual((missing.node, missing.rule, missing.reason), (NODES[1], None, "missing at step ask"))
        self.assertIn("nothing was released: too few nodes\n  North Hospital (…X3mDooWp): too close", str(err.exception))

    def test_a_refusal_by_the_hub_names_field_and_fix(self):
        for document, field, fix in (
            ({"title": "cohort: InclusionRules[0].expression: is missing", "status": 422}, "cohort.InclusionRules[0].expression", "is missing"),
            ({"title": "formula, byte 6: want )", "status": 422}, "formula", "want )"),
            ({"title": "the request is not of the expected form", "detail": "path.id: expected string", "status": 422}, "path.id", "path.id: expected string"),
            ({"title": "no", "rule": "trial.closed", "status": 403}, None, "the trial is not open now: the sentence says when it is"),
            ({"title": "no such question", "status": 404}, None, None),
        ):
            with self.subTest(document["title"]), serving(said(document, document["status"]), tls=self.root) as (url, _):
                with self.assertRaises(trialmesh.ProblemError) as err:
                    self.hub(url).show(ID)
                self.assertEqual((err.exception.field, err.exception.fix, err.exception.rule), (field, fix, document.get("rule")))
                self.assertIn(fix or document["title"], str(err.exception))

    def test_reading_shows_no_token(self):
        with serving(said({"queries": [OPEN]}), tls=self.root) as (url, asked), trialmesh.Hub(url, root=self.root) as hub:
            self.assertEqual([q.id for q in hub.questions(limit=500)], [ID])
            with self.assertRaisesRegex(ValueError, "key="):
                hub.submit({})
        self.assertNotIn("Authorization", asked[0][2])
        self.assertEqual(asked[0][1], "/v1/queries?limit=100")

    def test_only_the_hub_of_the_root_certificate_is_believed(self):
        with serving(said(OPEN), tls=self.root) as (url, _):
            with trialmesh.Hub(url) as hub, self.assertRaisesRegex(trialmesh.NetworkError, "root="):
                hub.show(ID)
        for url in ("http://127.0.0.1:1", "ftp://hub.example", "hub.example"):
            self.assertRaises(ValueError, trialmesh.Hub, url)

    def test_a_hub_that_answers_something_else(self):
        for given in ((200, {}, b"<html>"), (200, {}, b"[]"), said({"id": ID}, 202)):
            with self.subTest(given), serving(given, tls=self.root) as (url, _), self.assertRaises(trialmesh.TrialmeshError):
                self.hub(url).submit({"trial": "bp"})
