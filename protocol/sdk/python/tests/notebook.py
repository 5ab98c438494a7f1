"""Runs the code cells of a notebook top to bottom, in one name space, without Jupyter.

python3 tests/notebook.py NOTEBOOK compares what the cells print and show, as text, with
the outputs that the notebook keeps; with --write it keeps these instead. The working
folder and the environment are what the notebook expects.
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path

HTML = {"text/html": "_repr_html_"}


def run(notebook):
    """Yields each code cell with the outputs that it gives now."""
    names = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield cell, outputs(source(cell), names)


def source(cell):
    return "".join(cell["source"])


def outputs(text, names):
    """What a cell prints, and the value of its last expression."""
    *before, last = ast.parse(text).body or [ast.Pass()]
    shown = None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(before, []), "cell", "exec"), names)
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        else:
            exec(compile(text, "cell", "exec"), names)
    given = []
    if said.getvalue():
        given.append({"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(keepends=True)})
    if shown is not None:
        data = {kind: getattr(shown, method)().splitlines(keepends=True) for kind, method in HTML.items() if hasattr(shown, method)}
        given.append({
            "data": {**data, "text/plain": repr(shown).splitlines(keepends=True)}, "execution_count": None, "metadata": {},
            "output_type": "execute_result",
        })
    return given


def words(given):
    """Outputs as text, without how the columns of a table are spaced."""
    texts = ["".join(o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"]) for o in given]
    return [[line.split() for line in text.splitlines()] for text in texts]


def main(path, *options):
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    for count, (cell, given) in enumerate(run(notebook), 1):
        if "--write" in options:
            cell["execution_count"] = count
            cell["outputs"] = [{**o, "execution_count": count} if "data" in o else o for o in given]
        elif words(cell["outputs"]) != words(given):
            kept, now = (json.dumps(words(o), ensure_ascii=False) for o in (cell["outputs"], given))
            sys.exit(f"{path}: cell {count} gives\n{now}\nand the notebook keeps\n{kept}\nfor\n{source(cell)}")
    if "--write" in options:
        Path(path).write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
