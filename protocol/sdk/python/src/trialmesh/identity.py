"""Organizations, nodes and people are named by their Ed25519 keys: did:key:z6Mk…

A DID carries the key itself, so that checking a signature needs no directory. All of it
but public_key and did_of needs the package cryptography.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from . import extras

PREFIX = "did:key:z"
LONGEST = len(PREFIX) + 48
MULTICODEC = b"\xed\x01"  # the varint 0xed marks an Ed25519 public key
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Key:
    """A private key. It prints as Key(redacted) and cannot be pickled."""

    def __init__(self, private: Any) -> None:
        """``private`` is an Ed25519PrivateKey of the package cryptography."""
        self._private = private
        serialization = _serialization()
        self.did = did_of(private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Key:
        """The key in a file that the command trialmesh key new wrote."""
        try:
            return cls.parse(Path(path).read_bytes())
        except ValueError as err:
            raise ValueError(f"{os.fspath(path)}: {err}") from None

    @classmethod
    def parse(cls, pem: bytes) -> Key:
        """A key in PKCS#8 PEM form. The error repeats nothing of it."""
        serialization = _serialization()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            private = serialization.load_pem_private_key(pem, None)
        except (TypeError, ValueError):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("no Ed25519 private key in PKCS#8 PEM form; trialmesh key new makes one")
        return cls(private)

    @classmethod
    def from_seed(cls, seed: bytes) -> Key:
        """The key that a seed of 32 bytes gives (RFC 8032)."""
        _serialization()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        signature: bytes = self._private.sign(message)
        return signature

    def __repr__(self) -> str:
        return "Key(redacted)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key must not be pickled")


def verify(did: str, message: bytes, signature: bytes) -> bool:
    """Whether a signature over a message is of the key that a DID names."""
    public = public_key(did)
    _serialization()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def did_of(public: bytes) -> str:
    """The DID of a public key of 32 bytes."""
    raw = MULTICODEC + public
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, len(ALPHABET))
        digits = ALPHABET[rest] + digits
    return PREFIX + digits


def public_key(did: str) -> bytes:
    """The key that a DID names, 32 bytes; a ValueError unless it is spelled in the one
    canonical way."""
    text = did.removeprefix(PREFIX)
    number = 0
    for letter in text[:LONGEST]:
        number = number * len(ALPHABET) + ALPHABET.find(letter)
    raw = number.to_bytes(64, "big").lstrip(b"\0") if len(did) <= LONGEST and set(text) <= set(ALPHABET) else b""
    public = raw.removeprefix(MULTICODEC)
    if len(raw) != 34 or len(public) != 32 or did_of(public) != did:
        raise ValueError("no did:key of an Ed25519 key")
    return public


def short(did: str) -> str:
    """The last eight characters, enough to tell a handful of parties apart on a screen."""
    return "…" + did[-8:]


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise extras.missing("signing needs the package cryptography", "researcher") from None
    return serialization
