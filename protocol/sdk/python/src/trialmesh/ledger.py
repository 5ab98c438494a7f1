"""Reads the public ledger of a hub and proves what it reads.

Hashes are those of RFC 6962, files those of C2SP tlog-tiles, checkpoints signed notes of
C2SP tlog-checkpoint. Nothing that the hub serves is believed but what hashes to the root
under the signature of the ledger's key, which the reader has got on another way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from . import canonical
from .errors import TrialmeshError
from .identity import did_of, verify

HEIGHT = 8  # of a tile: 256 hashes wide
WIDTH = 1 << HEIGHT
ED25519 = b"\x01"  # C2SP signed-note
HASH = 32  # bytes
MAX_SIZE = 1 << 62


class LedgerError(TrialmeshError):
    """The ledger is not what its key signed, or is not signed by it. Do not believe it."""


class View:
    """A ledger as one signed checkpoint fixes it."""

    def __init__(self, read: Callable[[str], bytes], origin: str, key: str) -> None:
        """``read`` gives a public file by its path, ``key`` is the ledger's verifier key."""
        self._read, self._kept = read, dict[str, bytes]()
        self.size, self.root = open_checkpoint(read("checkpoint"), origin, key)

    def entry(self, index: int) -> dict[str, Any]:
        """The entry at an index, proven."""
        if not 0 <= index < self.size:
            raise LedgerError(f"the signed ledger has {self.size} entries, and none {index}")
        bundle = self._file("entries", index >> HEIGHT, self.size)
        raw = _in_bundle(bundle, index % WIDTH)
        if self._root(0, self.size, index, _leaf(raw)) != self.root:
            raise LedgerError(f"entry {index} is not the one that the signed root covers")
        entry = canonical.decode(raw)
        if not isinstance(entry, dict):
            raise LedgerError(f"entry {index} is malformed")
        return entry

    def _root(self, begin: int, end: int, index: int, leaf: bytes) -> bytes:
        """The hash over entries from begin up to end, of which one hashes to leaf. The
        others are read; a wrong one gives another root."""
        if not begin <= index < end:
            return self._subtree(begin, end)
        if end - begin == 1:
            return leaf
        middle = begin + _split(end - begin)
        return _node(self._root(begin, middle, index, leaf), self._root(middle, end, index, leaf))

    def _subtree(self, begin: int, end: int) -> bytes:
        size = end - begin
        if size & (size - 1):
            middle = begin + _split(size)
            return _node(self._subtree(begin, middle), self._subtree(middle, end))
        level, below = divmod(size.bit_length() - 1, HEIGHT)
        first, count = begin >> (level * HEIGHT), 1 << below  # of hashes in a tile
        tile = self._file(str(level), first >> HEIGHT, self.size >> (level * HEIGHT))
        at = first % WIDTH * HASH
        hashes = [tile[i : i + HASH] for i in range(at, at + count * HASH, HASH)]
        while len(hashes) > 1:
            hashes = [_node(*pair) for pair in zip(hashes[::2], hashes[1::2])]
        return hashes[0]

    def _file(self, level: str, index: int, hashes: int) -> bytes:
        """A tile or a bundle, cut off where the checkpoint ends."""
        path = f"tile/{level}/{_number(index)}"
        if width := min(WIDTH, hashes - index * WIDTH) % WIDTH:
            path += f".p/{width}"
        if path not in self._kept:
            self._kept[path] = self._read(path)
        return self._kept[path]


def open_checkpoint(note: bytes, origin: str, key: str) -> tuple[int, bytes]:
    """Size and root of a ledger, of a checkpoint that its key has signed."""
    try:
        name, _, rest = key.partition("+")
        marked = base64.b64decode(rest.partition("+")[2], validate=True)
        mark = hashlib.sha256(name.encode() + b"\n" + marked).digest()[:4]
    except binascii.Error:
        marked = mark = b""
    if marked[:1] != ED25519 or len(marked) != 1 + HASH or rest[:8] != mark.hex():
        raise ValueError("the trust document has no verifier key of the ledger in logKey")
    text, _, lines = note.partition(b"\n\n")
    text += b"\n"
    wanted = f"— {name} ".encode()
    for line in lines.splitlines():
        if not line.startswith(wanted):
            continue
        try:
            raw = base64.b64decode(line.removeprefix(wanted), validate=True)
        except binascii.Error:
            continue
        if raw[:4] == mark and verify(did_of(marked[1:]), text, raw[4:]):
            return _checkpoint(text, origin)
    raise LedgerError("the checkpoint is not signed by the ledger's key")


def _checkpoint(text: bytes, origin: str) -> tuple[int, bytes]:
    try:
        said, size, root, *_ = text.decode().split("\n")
        entries, digest = int(size), base64.b64decode(root, validate=True)
    except (ValueError, binascii.Error):
        raise LedgerError("the checkpoint is malformed") from None
    if said != origin or size != str(entries) or not 0 <= entries < MAX_SIZE or len(digest) != HASH:
        raise LedgerError("the checkpoint is malformed, or of another ledger")
    return entries, digest


def _in_bundle(bundle: bytes, index: int) -> bytes:
    """An entry of a bundle: each has its length before it, two bytes."""
    at = 0
    for _ in range(index):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return bundle[at + 2 : at + 2 + int.from_bytes(bundle[at : at + 2], "big")]


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def _number(index: int) -> str:
    """As a path: x001/x234/067 for 1234067."""
    parts = [f"{index % 1000:03d}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03d}")
    return "/".join(parts)
