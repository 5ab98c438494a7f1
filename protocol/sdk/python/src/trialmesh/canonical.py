"""JSON in the one form of RFC 8785 (JCS), so that everybody who signs or hashes a document
hashes the same bytes.

encode writes a value, transform text from outside. Both refuse with a CanonicalError what
readers of JSON disagree on: a name that stands twice, lone surrogates, numbers beyond
IEEE 754 double precision (integers that it would change among them), and nesting deeper
than MAX_DEPTH.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_DEPTH = 64
EXACT = 1 << 53  # up to which every integer is a double

ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in map(chr, range(0x20))} | {
    ord('"'): '\\"', ord("\\"): "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r",
}


class CanonicalError(ValueError):
    """A value or a text has no canonical form. The message repeats nothing of it."""


def encode(value: object) -> bytes:
    """The canonical form of a value of None, bool, int, float, str, lists, tuples and
    mappings with names of str."""
    return _write(value, 0).encode()


def transform(text: str | bytes) -> bytes:
    """The canonical form of one JSON value."""
    return encode(decode(text))


def decode(text: str | bytes) -> Any:
    """The JSON value of a text that has a canonical form."""
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_integer, parse_float=_double)
    except UnicodeDecodeError:
        raise CanonicalError("the text is not valid UTF-8") from None
    except json.JSONDecodeError as err:
        raise CanonicalError(f"malformed JSON at character {err.pos}") from None
    except RecursionError:
        raise CanonicalError(f"nested deeper than {MAX_DEPTH}") from None


def _write(value: object, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return _integer_text(int(value))
    if isinstance(value, float):
        return _double_text(float(value))
    if depth == MAX_DEPTH:
        raise CanonicalError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(item, depth + 1) for item in value) + "]"
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise CanonicalError("a name in an object is no text")
        members = ((_string(name), _write(value[name], depth + 1)) for name in sorted(value, key=_order))
        return "{" + ",".join(f"{name}:{text}" for name, text in members) + "}"
    raise CanonicalError(f"a {type(value).__name__} is nothing that JSON has")


def _string(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise CanonicalError("text is not valid Unicode")
    return f'"{text.translate(ESCAPES)}"'


def _order(name: str) -> bytes:
    """Names are ordered by their UTF-16 code units (RFC 8785, section 3.2.3)."""
    return name.encode("utf-16-be", "surrogatepass")


def _integer_text(n: int) -> str:
    if abs(n) < EXACT:
        return str(n)
    # An integer that a double cannot hold would be signed as another one than a reader
    # of 64-bit integers sees.
    if abs(n) >= 10**21 or _double_text(float(n)) != str(n):
        raise CanonicalError("a number is outside IEEE 754 double precision")
    return str(n)


def _double_text(x: float) -> str:
    """As ECMAScript's Number::toString writes it (RFC 8785, section 3.2.2.3): the shortest
    digits, with an exponent below 1e-6 and from 1e21 on."""
    if not math.isfinite(x):
        _no_number("")
    if x == 0:
        return "0"  # minus zero too
    sign = "-" if x < 0 else ""
    mantissa, _, power = f"{abs(x)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(power or 0) - (len(whole + fraction) - len(digits))  # where it stands in digits
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        text = digits.ljust(point, "0")
        return sign + (text if len(text) == point else f"{text[:point]}.{text[point:]}")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{point - 1:+d}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CanonicalError("an object has the same name twice")
    return members


def _integer(text: str) -> int:
    if len(text) > 22:  # over 1e21; and int of very many digits is slow
        _no_number(text)
    return int(text)


def _double(text: str) -> float:
    x = float(text)
    if not math.isfinite(x):
        _no_number(text)
    return x


def _no_number(_: str) -> NoReturn:
    raise CanonicalError("a number is outside IEEE 754 double precision")
