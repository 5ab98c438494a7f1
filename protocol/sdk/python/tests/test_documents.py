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
