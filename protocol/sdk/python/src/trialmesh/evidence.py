"""Checks an answer against the public ledger.

These are the checks that need no zero-knowledge proofs: who asked and what, that the
numbers are those on record, and that each node signed for its part. The command
trialmesh verify query checks the rest as well: the trial's approval, the consents, the
proofs, and the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import canonical, envelope
from .answer import Answer
from .errors import TrialmeshError
from .identity import short
from .ledger import LedgerError, View

# Kinds of entries of the ledger.
ASKED, ANSWERED, PROVED = 6, 7, 8


@dataclass(frozen=True)
class Check:
    """One thing that was checked and is right."""

    name: str
    """As in trialmesh verify, such as ``result.recorded``."""

    detail: str
    """What is right, in words."""

    def __str__(self) -> str:
        return f"ok  {self.name}: {self.detail}"


class EvidenceError(TrialmeshError):
    """The answer is not what is on record, or nobody signed for it. ``name`` is the check
    that failed."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


def verify(answer: Answer, trust: Mapping[str, Any], read: Callable[[str], bytes]) -> list[Check]:
    """The checks of an answer that all passed; the first that fails is an EvidenceError,
    or a LedgerError if the ledger itself is not to be believed.

    ``trust`` is the trust document, got on another way than the answer; ``read`` gives the
    hub's public files by their paths.
    """
    view = View(read, trust["origin"], trust["logKey"])
    checks = [Check("log.checkpoint", f"the checkpoint over {view.size} entries is signed by the trusted key")]
    if first_id := answer.result.get("repeats"):
        first = Answer(canonical.decode(read(f"v1/queries/{first_id}")))
        checks += _question(first, view, trust, read)
        return [*checks, *_question(answer, view, trust, read), _repeated(answer, first)]
    return checks + _question(answer, view, trust, read)


def _question(answer: Answer, view: View, trust: Mapping[str, Any], read: Callable[[str], bytes]) -> list[Check]:
    checks = [_asked(answer, view, read)]
    if answer.result:
        checks.append(_recorded(answer, view, trust["hub"]))
    return checks if answer.result.get("repeats") else checks + _signed_by_nodes(answer, view, read)


def _asked(answer: Answer, view: View, read: Callable[[str], bytes]) -> Check:
    name = "question.signed"
    entry = _entry(view, answer.json["ledgerIndex"], ASKED, answer.id, name)
    signed = _document(read, entry, name)
    request = _open(signed, envelope.REQUEST, name)
    if envelope.digest(signed) != answer.id:
        raise EvidenceError(name, "the question on record is another one")
    if signed["issuer"] != answer.json["researcher"]:
        raise EvidenceError(name, "somebody else signed the question")
    if _told(request) != _told(answer.json["request"]):
        raise EvidenceError(name, "the hub shows another question than the one on record")
    return Check(name, f"entry {answer.json['ledgerIndex']} holds the question, signed by {short(signed['issuer'])}")


def _recorded(answer: Answer, view: View, hub: str) -> Check:
    name = "result.recorded"
    index = answer.json["resultIndex"]
    entry = _entry(view, index, ANSWERED, answer.id, name)
    if entry["actor"] != hub:
        raise EvidenceError(name, "the result on record is not by the hub")
    if entry["digest"] != _sha256(canonical.encode(answer.result)) or answer.result.get("query") != answer.id:
        raise EvidenceError(name, "the result is not the one on record")
    return Check(name, f"entry {index} covers these very numbers")


def _signed_by_nodes(answer: Answer, view: View, read: Callable[[str], bytes]) -> list[Check]:
    """The nodes' statements that consent covered what they used. Those that are not there
    yet are no failure: they follow an answer within minutes."""
    name, checks = "access.signed", []
    answered = {a["node"]: a for a in answer.result.get("answered", [])}
    for access in answer.json.get("accesses", []):
        node, index = access["node"], access["ledgerIndex"]
        signed = _document(read, _entry(view, index, PROVED, answer.id, name), name)
        said = _open(signed, envelope.ACCESS, name)
        if signed["issuer"] != node or node not in answered or said["query"] != answer.id:
            raise EvidenceError(name, f"the statement of {short(node)} is by another node or about another question")
        if (said["epoch"], said["used"]) != (answered[node]["epoch"], answered[node]["commitment"]):
            raise EvidenceError(name, f"the statement of {short(node)} is about other consents or records")
        checks.append(Check(name, f"entry {index} holds the statement of {short(node)}, signed by the node itself"))
    return checks


def _repeated(answer: Answer, first: Answer) -> Check:
    name, own = "result.repeats", {"query", "asked", "finished", "repeats"}
    now, then = ({k: v for k, v in one.result.items() if k not in own} for one in (answer, first))
    if now != then or first.id != answer.result["repeats"] or first.result.get("repeats"):
        raise EvidenceError(name, "it is not the answer that it is said to repeat")
    return Check(name, f"it is the answer to {first.id[:12]} again")


def _entry(view: View, index: int, kind: int, subject: str, name: str) -> dict[str, Any]:
    """An entry of a kind about a subject."""
    try:
        entry = view.entry(index)
    except (ValueError, TypeError):
        raise LedgerError(f"entry {index} is malformed") from None
    if entry.get("kind") != kind or entry.get("subject") != subject:
        raise EvidenceError(name, f"entry {index} records something else")
    return entry


def _document(read: Callable[[str], bytes], entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The document that an entry names by its SHA-256."""
    raw = read(f"v1/documents/{entry['digest']}")
    if _sha256(raw) != entry["digest"]:
        raise EvidenceError(name, "the document is not the one that the entry names")
    document = canonical.decode(raw)
    if not isinstance(document, dict):
        raise EvidenceError(name, "the document is malformed")
    return document


def _open(signed: Mapping[str, Any], kind: str, name: str) -> Any:
    try:
        return envelope.check(signed, kind)
    except envelope.EnvelopeError as err:
        raise EvidenceError(name, str(err)) from None


def _told(value: Any) -> Any:
    """A value without what is empty, which means the same as what is absent."""
    if isinstance(value, list):
        return [_told(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {name: told for name, item in value.items() if (told := _told(item))}


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
