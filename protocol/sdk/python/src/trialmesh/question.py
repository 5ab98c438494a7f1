"""Questions, as files hold them and as they are signed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import canonical, extras

MAX_FILE = 1 << 20  # bytes

Source = Mapping[str, Any] | str | os.PathLike[str]


def read(source: Source) -> dict[str, Any]:
    """The object that a mapping is or a file holds, in JSON, or in YAML if the name ends in
    .yaml or .yml (which needs the package PyYAML). A string is a file's name."""
    if isinstance(source, Mapping):
        return dict(source)
    path = Path(source)
    with path.open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ValueError(f"{path}: over {MAX_FILE} bytes, which no question has")
    try:
        value = _yaml(raw) if path.suffix in (".yaml", ".yml") else canonical.decode(raw)
    except ValueError as err:
        raise ValueError(f"{path}: {err}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: it holds no object with fields")
    return value


def request(trial: str, cohort: Source, analysis: Mapping[str, Any], purpose: str) -> dict[str, Any]:
    """A question about a cohort, an OHDSI cohort definition as ATLAS exports it."""
    return {"trial": trial, "purpose": purpose, "cohort": read(cohort), "analysis": dict(analysis)}


def _yaml(raw: bytes) -> Any:
    try:
        import yaml
    except ImportError:
        raise extras.missing("a YAML file needs the package PyYAML", "yaml") from None

    class Loader(yaml.SafeLoader):
        """Refuses a name that stands twice, of which readers would take one or the other."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [name.value for name, _ in node.value]
            if len(set(names)) < len(names):
                raise yaml.constructor.ConstructorError(None, None, "the same name twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(raw, Loader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        raise ValueError("malformed YAML" + (f" at line {mark.line + 1}" if mark else "")) from None
