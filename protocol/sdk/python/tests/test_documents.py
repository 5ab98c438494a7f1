"""What is committed is what it was made from: the models, what is said of rules, and the
examples in documents."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from .registrar import register

HERE = Path(__file__).parent.parent
DOCUMENTS = (HERE / "README.md", HERE / "../../../deploy/docs/sdk.md")


class DocumentsTest(unittest.TestCase):
    def test_what_is_generated_is_what_its_sources_give(self):
        subprocess.run([sys.executable, HERE / "generate.py", "--check"], check=True)

    def test_the_notebook_has_the_form_of_nbformat_4_5_and_no_trace_of_where_it_ran(self):
        text = (HERE / "examples/first_question.ipynb").read_text(encoding="utf-8")
        self.assertNotRegex(text, r"\d{4}-\d\d-\d\d|127\.0\.0\.1|/(home|root|tmp|usr)/")
        notebook = json.loads(text)
        self.assertEqual((notebook["nbformat"], notebook["nbformat_minor"]), (4, 5))
        self.assertEqual(notebook.keys(), {"cells", "metadata", "nbformat", "nbformat_minor"})
        common, outputs = {"cell_type", "id", "metadata", "source"}, 0
        for cell in notebook["cells"]:
            self.assertRegex(cell["id"], r"^[a-zA-Z0-9-_]{1,64}$")
            self.assertEqual(cell.keys(), common | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set()))
            for output in cell.get("outputs", []):
                outputs += 1
                self.assertEqual(output.keys(), {
                    "stream": {"output_type", "name", "text"}, "execute_result": {"output_type", "data", "metadata", "execution_count"},
                }[output["output_type"]])
        self.assertEqual(len({cell["id"] for cell in notebook["cells"]}), len(notebook["cells"]))
        self.assertGreater(outputs, 6)

    @unittest.skipUnless(os.environ.get("TRIALMESH_URL"), "TRIALMESH_URL names no node")
    def test_examples_run_as_printed(self):
        self.addCleanup(os.chdir, os.getcwd())
        files = {
            "patients.ndjson": '{"resourceType":"Patient","id":"p-17"}\n{"resourceType":"Patient"}\n',
        }
        for document in DOCUMENTS:
            examples = re.findall(r"^```python\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
            self.assertTrue(examples, document)
            with self.subTest(document.name), tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                for name, content in files.items():
                    Path(name).write_text(content, encoding="utf-8")
                for example in examples:
                    with contextlib.redirect_stdout(io.StringIO()) as said:
                        exec(compile(example, str(document), "exec"), {})
                    self.assertTrue(said.getvalue(), example)
                    for keys in Path().glob("*.jwks.json"):
                        register(keys.name.split(".")[0], json.loads(keys.read_text()))
                        keys.unlink()
