"""Signed messages between organizations: a JSON body with its kind, issuer, lifetime and
nonce, signed over canonical JSON. protocol/vectors fixes them for every language."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from . import canonical, identity
from .errors import TrialmeshError

DOMAIN = b"trialmesh envelope v1\n"
VERSION = 1
MAX_BODY = 1 << 20  # bytes of canonical body
MAX_LIFE = datetime.timedelta(days=5 * 366)
SKEW = datetime.timedelta(minutes=2)  # how far an issuer's clock may be ahead
NONCE = 16  # bytes

REQUEST = "query.request"
ACCESS = "query.access"

FIELDS = {"version", "kind", "issuer", "issued", "expires", "nonce", "body", "signature"}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class EnvelopeError(TrialmeshError):
    """A message is not to be believed; ``rule`` says which check failed, as nodes and the
    hub name it, such as ``message.signature``."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{what} (rule {rule})")
        self.rule = rule


def seal(
    key: identity.Key, kind: str, body: Mapping[str, Any], *, issued: datetime.datetime, life: datetime.timedelta, nonce: bytes
) -> dict[str, Any]:
    """A signed message. ``issued`` has a time zone and is cut to seconds; ``nonce`` are
    16 random bytes."""
    raw = canonical.encode(body)
    if len(raw) > MAX_BODY:
        raise ValueError(f"the message has {len(raw)} bytes, {MAX_BODY} are the limit")
    if len(nonce) != NONCE or not datetime.timedelta() < life <= MAX_LIFE:
        raise ValueError("a message has a nonce of 16 bytes and a life of at most five years")
    envelope = {
        "version": VERSION, "kind": kind, "issuer": key.did, "issued": _stamp(issued), "expires": _stamp(issued + life),
        "nonce": nonce.hex(), "body": canonical.decode(raw),
    }
    return {**envelope, "signature": base64.b64encode(key.sign(signed(envelope))).decode()}


def signed(envelope: Mapping[str, Any]) -> bytes:
    """The bytes under the signature."""
    return DOMAIN + canonical.encode({name: value for name, value in envelope.items() if name != "signature"})


def digest(envelope: Mapping[str, Any]) -> str:
    """The SHA-256 of what was signed, 64 hex digits: the id of a question."""
    return hashlib.sha256(signed(envelope)).hexdigest()


def check(envelope: Mapping[str, Any], kind: str, at: datetime.datetime | None = None) -> Any:
    """The body of a message of a kind that is whole, signed by its issuer and, if a time
    is given, valid then. An EnvelopeError says what is wrong with it. Whether the issuer
    may say this is for the caller to decide."""
    malformed = EnvelopeError("message.malformed", "the message is malformed")
    if envelope.get("version") != VERSION:
        raise EnvelopeError("message.version", "the message has a version that this program does not read")
    if envelope.get("kind") != kind:
        raise EnvelopeError("message.kind", "the message is of another kind than expected")
    if set(envelope) != FIELDS:
        raise malformed
    try:
        text, body = signed(envelope), canonical.encode(envelope["body"])
        issued, expires = _time(envelope["issued"]), _time(envelope["expires"])
        if len(body) > MAX_BODY or not re.fullmatch(r"[0-9a-fA-F]{32}", envelope["nonce"]):
            raise malformed
        signature = base64.b64decode(envelope["signature"], validate=True)
    except (TypeError, ValueError, OverflowError, binascii.Error):
        raise malformed from None
    if not datetime.timedelta() < expires - issued <= MAX_LIFE:
        raise EnvelopeError("message.lifetime", "the message's lifetime is empty or too long")
    if not _signed_by(envelope["issuer"], text, signature):
        raise EnvelopeError("message.signature", "the message's signature does not verify")
    if at is not None and at + SKEW < issued:
        raise EnvelopeError("message.not-yet-valid", "the message was issued in the future")
    if at is not None and at >= expires:
        raise EnvelopeError("message.expired", "the message has expired")
    return envelope["body"]


def _signed_by(did: Any, text: bytes, signature: bytes) -> bool:
    try:
        return identity.verify(did, text, signature)
    except (AttributeError, ValueError):
        return False


def _stamp(at: datetime.datetime) -> str:
    return at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime.datetime:
    """A time in the form that is signed: UTC, in whole seconds."""
    if not STAMP.fullmatch(text):
        raise ValueError
    return datetime.datetime.fromisoformat(text[:-1]).replace(tzinfo=datetime.timezone.utc)
