"""Files that go to the node bit by bit, by tus 1.0.0 (https://tus.io)."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TypeAlias

from .caller import Caller, quoted
from .errors import FileChangedError, NetworkError, ProblemError, TrialmeshError
from .models import Upload
from .transport import Answer

UPLOADS = "/v1/ingest/uploads"
TUS = {"Tus-Resumable": "1.0.0"}

File: TypeAlias = str | os.PathLike[str] | BinaryIO
Progress: TypeAlias = Callable[[int, int], None]


@contextmanager
def opened(file: File) -> Iterator[BinaryIO]:
    """The file at a path, or one that is open already, which stays so."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as f:
            yield f
    else:
        yield file


def create(caller: Caller, file: File, name: str | None, key: str) -> str:
    """Makes room for a file and returns the upload's id."""
    with opened(file) as f:
        size = f.seek(0, os.SEEK_END)
    if name is None:
        name = os.path.basename(os.fspath(file)) if isinstance(file, (str, os.PathLike)) else "file"
    headers = TUS | {
        "Upload-Length": str(size), "Content-Length": "0", "Idempotency-Key": quoted(key),
        "Upload-Metadata": "filename " + base64.b64encode(name.encode()).decode(),
    }
    location = caller.request("POST", UPLOADS, headers).headers.get("Location", "")
    return str(location).rpartition("/")[2]


def finish(caller: Caller, upload: str, file: File, progress: Progress | None) -> Upload:
    """Sends what the node does not have of a file yet. When the connection breaks it asks
    how much came and goes on there; it gives up after as many failures in a row without
    progress as the caller makes attempts."""
    path = f"{UPLOADS}/{upload}"
    failures, before = 0, -1
    with opened(file) as f:
        size = f.seek(0, os.SEEK_END)
        while True:
            answer = caller.request("HEAD", path, TUS)
            offset = _number(answer, "Upload-Offset")
            if _number(answer, "Upload-Length") != size:
                raise FileChangedError("the file is not as long as the upload that is to go on")
            if (done := _loaded(answer)) is not None:
                return done
            if offset > before:
                failures, before = 0, offset
            rest = _Rest(f, offset, size, progress)
            headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream", "Content-Length": str(rest.size)}
            try:
                answer = caller.once("PATCH", path, headers, rest)
            except (NetworkError, ProblemError) as err:
                if rest.failure is not None:
                    raise rest.failure
                failures += 1
                if not (isinstance(err, ProblemError) and err.status == 401 and failures == 1):  # HEAD renews the token
                    caller.wait_after(err, failures, repeatable=True)
                continue
            if (done := _loaded(answer)) is None:
                raise TrialmeshError("the node's answer names no job of an upload that is whole")
            return done


def _loaded(answer: Answer) -> Upload | None:
    """What became of an upload, None while something is missing."""
    file, job = answer.headers.get("Trialmesh-File"), answer.headers.get("Trialmesh-Job")
    return Upload(file_id=file, job_id=job) if file and job else None


def _number(answer: Answer, header: str) -> int:
    try:
        return int(answer.headers[header])
    except (TypeError, ValueError):
        raise TrialmeshError(f"the node's answer has no {header}: is the URL that of a node?") from None


class _Rest:
    """A file from an offset to its end, which tells how far it was read."""

    def __init__(self, file: BinaryIO, offset: int, end: int, progress: Progress | None) -> None:
        file.seek(offset)
        self.size = end - offset
        self.failure: OSError | None = None  # of reading, and not of the connection
        self._file, self._at, self._end, self._progress = file, offset, end, progress

    def read(self, n: int = -1, /) -> bytes:
        try:
            return self._read(n)
        except OSError as err:
            self.failure = err
            raise

    def _read(self, n: int) -> bytes:
        left = self._end - self._at
        piece = self._file.read(left if n < 0 else min(n, left))
        if not piece and left:
            raise FileChangedError("the file has become shorter while it was sent")
        self._at += len(piece)
        if self._progress is not None and piece:
            self._progress(self._at, self._end)
        return piece
