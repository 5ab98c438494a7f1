"""Results as tables: rows of names and plain values, for data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]

# Lists of a result that are about its making and not about the people.
ABOUT = {"answered", "refused", "missing"}


def of(result: Mapping[str, Any], strata: Sequence[str]) -> dict[str, list[Row]]:
    """The tables of a result by name: ``cells``, and every list of objects in what a
    method gives, by its path, such as ``regression.coefficients``."""
    found: dict[str, list[Row]] = {}
    for name, value in result.items():
        if name == "cells":
            found[name] = [_cell(cell, strata) for cell in value]
        elif name not in ABOUT:
            found.update(_inside(name, value))
    return {name: _even(rows) for name, rows in found.items()}


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The same table by columns."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def whole(column: Iterable[Any]) -> bool:
    """Whether a column has whole numbers, and nothing besides but gaps."""
    kinds = {type(value) for value in column}
    return int in kinds and kinds <= {int, type(None)}


def _cell(cell: Mapping[str, Any], strata: Sequence[str]) -> Row:
    """A cell with its strata by name. What is withheld has no number."""
    numbers = {name: value for name, value in cell.items() if name != "levels"}
    if cell.get("withheld"):
        numbers["n"] = None
    return {**dict(zip(strata, cell.get("levels") or [])), **numbers}


def _inside(path: str, value: Any) -> dict[str, list[Row]]:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return {path: [_flat("", item) for item in value]}
    if not isinstance(value, Mapping):
        return {}
    found = {}
    for name, item in value.items():
        found.update(_inside(f"{path}.{name}", item))
    return found


def _flat(path: str, value: Mapping[str, Any]) -> Row:
    """An object's values by their paths; lists stay as they are."""
    row: Row = {}
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        row.update(_flat(where, item) if isinstance(item, Mapping) else {where: item})
    return row


def _even(rows: list[Row]) -> list[Row]:
    """Rows that all have the same names, in the order in which they first stand."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]
