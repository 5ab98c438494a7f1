"""Why nothing was released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ProblemError, TrialmeshError
from .identity import short

if TYPE_CHECKING:
    from .answer import Answer


@dataclass(frozen=True)
class Refusal:
    """A node that gave no numbers, and why."""

    node: str
    """The node's did:key."""

    rule: str | None
    """The rule that refused, such as ``release.differencing``; None of a missing node."""

    field: str | None
    """The field of the question that it is about, if it is about one."""

    reason: str
    """In words."""

    fix: str | None
    """What to change, where it is known."""

    organization: str | None = None
    """Whose node it is, as the hub's registry has it."""

    def __str__(self) -> str:
        text = f"{called(self.node, self.organization)}: {self.reason}"
        if self.rule:
            text += f" (rule {self.rule})"
        return text + (f"; {self.fix}" if self.fix and self.fix not in self.reason else "")


def called(node: str, organization: str | None) -> str:
    """What to call a node: its organization with the end of its key, or that alone."""
    return f"{organization} ({short(node)})" if organization else short(node)


class WithheldError(TrialmeshError):
    """Nothing was released. ``answer`` is the public result that says so, ``refusals`` are
    the nodes that refused or were missing."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.refusals = answer.refusals
        text = "nothing was released: " + str(answer.result.get("reason", "the result does not say why"))
        super().__init__("\n  ".join([text, *map(str, self.refusals)]))


class OpenError(TrialmeshError):
    """A question had no answer in time. It goes on; ``answer`` is how it stood last, and
    ``Hub.wait`` of its id asks again."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer}; ask again with wait({answer.id[:12]!r})")
        self.answer = answer


def refusals(result: Mapping[str, Any], sites: Mapping[str, str] | None = None) -> list[Refusal]:
    """The nodes that are not in a result. ``sites`` has their organizations by key."""
    found, sites = [], sites or {}
    for refused in result.get("refused", []):
        problem = ProblemError(refused["problem"].get("status", 0), refused["problem"])
        reason = problem.title + (f": {problem.detail}" if problem.detail else "")
        found.append(Refusal(refused["node"], problem.rule, problem.field, reason, problem.fix, sites.get(refused["node"])))
    for missing in result.get("missing", []):
        fix = "it was out of reach; ask again when it is back" if missing["step"] == "ask" else "ask again"
        found.append(Refusal(missing["node"], None, None, f"missing at step {missing['step']}", fix, sites.get(missing["node"])))
    return found
