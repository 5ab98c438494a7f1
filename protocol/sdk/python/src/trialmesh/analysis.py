"""What a question asks of a cohort, in the form that nodes read: the only place of this
package that knows it. The guide for researchers says what each field means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Analysis = dict[str, Any]


def count(by: Iterable[str] = ()) -> Analysis:
    """The number of persons, in each cell of the strata: of ``sex``, ``age-group`` and
    ``race`` at most three, crossed."""
    return _analysis("count", by=list(by))


def moments(variable: Mapping[str, Any], by: Iterable[str] = ()) -> Analysis:
    """Number, mean and standard deviation of a variable, in each cell of the strata."""
    return _analysis("moments", by=list(by), variable=dict(variable))


def measured(concept: int, unit: str, low: float, high: float, take: str = "last") -> dict[str, Any]:
    """A measured quantity, one value a person.

    ``concept`` is the standard OMOP concept of the measurement, ``unit`` the UCUM code
    that values must be in, ``low`` and ``high`` bound what is plausible in that unit.
    """
    return {"concept": concept, "unit": unit, "take": take, "low": low, "high": high}


def glm(
    formula: str, columns: Mapping[str, Mapping[str, Any] | str], family: str = "gaussian", *,
    link: str | None = None, weights: str | None = None,
) -> Analysis:
    """A generalized linear model: a formula as in R over columns, each of which says where
    a person's value comes from, see columns_of."""
    model = {"formula": formula, "family": family, "link": link, "weights": weights}
    return _analysis("glm", columns=columns_of(columns), glm={name: value for name, value in model.items() if value is not None})


def columns_of(columns: Mapping[str, Mapping[str, Any] | str]) -> list[dict[str, Any]]:
    """Columns by their names, in the form of a question. ``"age"``, ``"age-group"``,
    ``"sex"`` and ``"race"`` stand for themselves; measurement, event, follow_up and outcome
    make others."""
    return [{"name": name, **({"from": value} if isinstance(value, str) else value)} for name, value in columns.items()]


def measurement(
    concept: int, unit: str, low: float, high: float, *, take: str = "last", window: tuple[int, int] | None = None
) -> dict[str, Any]:
    """A column with a person's ``last``, ``first`` or ``mean`` value of a measurement.

    ``window`` are the days from entry into the cohort that count, both ends included:
    (-365, 0) is the year before. Whoever has no value there misses it.
    """
    return {"from": "measurement", "concepts": [concept], "unit": unit, "take": take, "low": low, "high": high, **_days(window)}


def event(domain: str, concepts: Iterable[int], *, window: tuple[int, int] | None = None) -> dict[str, Any]:
    """A column that says whether a person has one of the concepts, without their
    descendants, in a table: ``ConditionOccurrence``, ``DrugExposure`` and so on."""
    return _records("event", domain, concepts, window)


def follow_up(domain: str, concepts: Iterable[int] = (), *, window: tuple[int, int] | None = None) -> dict[str, Any]:
    """A column with the days from entry to the first such event in the window, or else to
    the end of observation. ``Death`` has no concepts."""
    return _records("follow-up", domain, concepts, window)


def outcome(domain: str, concepts: Iterable[int] = (), *, window: tuple[int, int] | None = None) -> dict[str, Any]:
    """A column that says whether the follow-up of the same arguments ended with the event."""
    return _records("outcome", domain, concepts, window)


def _records(source: str, domain: str, concepts: Iterable[int], window: tuple[int, int] | None) -> dict[str, Any]:
    found = {"concepts": listed} if (listed := list(concepts)) else {}
    return {"from": source, "domain": domain, **found, **_days(window)}


def _days(window: tuple[int, int] | None) -> dict[str, Any]:
    return {} if window is None else {"window": {"from": window[0], "to": window[1]}}


def _analysis(kind: str, **fields: Any) -> Analysis:
    """An analysis without what is empty."""
    return {"kind": kind, **{name: value for name, value in fields.items() if value}}
