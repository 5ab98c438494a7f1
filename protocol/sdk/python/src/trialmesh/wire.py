"""Turns JSON into the models and back."""

from __future__ import annotations

import dataclasses
import datetime
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import TrialmeshError

T = TypeVar("T")

_hints: dict[type[Any], dict[str, Any]] = {}  # of models that were read before


def read(model: type[T], value: object) -> T:
    """The model that a decoded JSON value holds. Properties that the model does not know
    are left out: a newer node may send more."""
    try:
        return typing.cast(T, _read(model, value))
    except (AttributeError, TypeError, ValueError) as err:
        raise TrialmeshError(f"the node's answer is no {model.__name__}: is the node of another version?") from err


def write(model: object) -> dict[str, Any]:
    """The JSON object of a model, without what is None."""
    assert dataclasses.is_dataclass(model) and not isinstance(model, type)
    values = ((_name(f), getattr(model, f.name)) for f in dataclasses.fields(model))
    return {name: value for name, value in values if value is not None}


def _read(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):  # always of something and None
        return None if value is None else _read(args[0], value)
    if origin is list:
        return [_read(args[0], item) for item in value]
    if origin is dict:
        return {key: _read(args[1], item) for key, item in value.items()}
    if hint is datetime.datetime:
        return _instant(value)
    if hint is datetime.date:
        return datetime.date.fromisoformat(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _object(hint, value)
    if isinstance(hint, type) and not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError
    return value


def _object(model: type[Any], value: Mapping[str, Any]) -> Any:
    if model not in _hints:
        _hints[model] = typing.get_type_hints(model)
    given = {}
    for f in dataclasses.fields(model):
        if _name(f) in value:
            given[f.name] = _read(_hints[model][f.name], value[_name(f)])
    return model(**given)  # a TypeError if a required one is missing


def _name(f: dataclasses.Field[Any]) -> str:
    return str(f.metadata.get("json", f.name))


def _instant(text: str) -> datetime.datetime:
    """A time of RFC 3339; of fractions of a second microseconds are kept."""
    text = re.sub(r"\.(\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), text)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
