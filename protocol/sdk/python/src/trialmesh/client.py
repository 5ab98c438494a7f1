"""The client of a node."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from . import models, tus
from .auth import Auth, Bearer
from .caller import Caller
from .errors import WaitTimeoutError
from .models import CodeEntry, Job, Observation, Problem, Series, Status, Unit, UnmappedCode, Upload, Variable, Version
from .models import ReportLoad as LoadReport, ReportReport as QualityReport
from .transport import Transport, checked_url
from .wire import write

T = TypeVar("T")

BATCH = 8 << 20  # bytes of one request with observations
PAGE = 500  # entries of a list that are asked for at once
SLOWEST_POLL = 2.0  # seconds
LONG = 3600.0  # seconds that a quality report may take


class Listing(Generic[T]):
    """A list of reference data of one version, fetched page by page as it is read."""

    def __init__(self, fetch: Callable[[int, str | int | None], tuple[list[T], str | int, int]]) -> None:
        self._fetch = fetch
        self._first, self.version, self.total = fetch(0, None)

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[T]:
        page, seen = self._first, 0
        while page:
            yield from page
            seen += len(page)
            if seen >= self.total:
                return
            page, _, _ = self._fetch(seen, self.version)


class Client:
    """Talks to one node.

    ``auth`` is the node's bearer token, or a BackendService. ``ca`` is a file with the
    certificates to trust in place of the system's. ``timeout`` is in seconds without a
    byte of the node. ``attempts`` is how often a request is made that may be repeated.
    Several threads may use one client.
    """

    def __init__(
        self, url: str, auth: str | Auth, *, ca: str | os.PathLike[str] | None = None, timeout: float = 60, attempts: int = 8
    ) -> None:
        self._url = checked_url(url)
        self._transport = Transport(ca, timeout)
        self._caller = Caller(self._transport, self._url, Bearer(auth) if isinstance(auth, str) else auth, attempts)

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    # Data

    def upload(
        self, file: tus.File, *, name: str | None = None, key: str | None = None,
        resume: str | None = None, progress: tus.Progress | None = None,
    ) -> Upload:
        """Sends a file, and returns when the node has all of it on disk and its load is
        enqueued. It takes little memory whatever the size.

        After a broken connection it goes on where it stopped. ``resume`` is the id of an
        upload that another process began, see create_upload. ``key`` is an idempotency
        key: the same key and size is the same upload. ``name`` is for people, by default
        that of the file. ``progress`` is told how many bytes are sent, of how many.
        """
        if resume is None:
            resume = self.create_upload(file, name=name, key=key)
        return tus.finish(self._caller, resume, file, progress)

    def create_upload(self, file: tus.File, *, name: str | None = None, key: str | None = None) -> str:
        """Makes room for a file and returns the upload's id. Keep it, and call upload
        with it as ``resume`` until that returns, in this process or another."""
        return tus.create(self._caller, file, name, key or str(uuid.uuid4()))

    def uploads(self) -> list[models.PartialUpload]:
        """Uploads that wait for more, oldest first."""
        return self._caller.get(models.PartialUploads, tus.UPLOADS).uploads

    def drop_upload(self, upload_id: str) -> None:
        """Forgets an upload; the load of one that is whole goes on."""
        self._caller.request("DELETE", f"{tus.UPLOADS}/{quote(upload_id, safe='')}", tus.TUS)

    def observe(self, source: str, observations: Iterable[Observation], *, key: str | None = None) -> list[str]:
        """Sends time series, in as many requests as their size needs, and returns the ids
        of their jobs when all are durable.

        ``source`` says which kind of device or program the values come from. With a key
        the same call may be made again: batches that the node has are not loaded twice.
        """
        key = key or str(uuid.uuid4())
        head = b'{"source":' + json.dumps(source).encode() + b',"observations":['
        return [
            self._caller.post(models.Accepted, "/v1/ingest/observations", head + b",".join(batch) + b"]}", key=f"{key}/{i}").job_id
            for i, batch in enumerate(_batches(observations))
        ]

    # Jobs

    def job(self, job_id: str) -> Job:
        """How a load is going, with the first of its problems."""
        return self._caller.get(Job, _job(job_id))

    def jobs(self, *, state: str | None = None, page_size: int = PAGE) -> Iterator[Job]:
        """Loads, newest first and without their problems; all, or those in one state."""
        before = None
        while True:
            page = self._caller.get(models.Jobs, "/v1/ingest/jobs", before=before, limit=page_size, state=state).jobs
            yield from page
            if len(page) < page_size:
                return
            before = page[-1].id

    def problems(self, job_id: str, *, page_size: int = PAGE) -> Iterator[Problem]:
        """What of a file was not stored as it is, by line and rule."""
        seen = 0
        while True:
            page = self._caller.get(Job, _job(job_id), offset=seen, limit=page_size).problems
            yield from page
            if len(page) < page_size:
                return
            seen += len(page)

    def wait(self, job_id: str, *, timeout: float | None = None, progress: Callable[[Job], None] | None = None) -> Job:
        """Asks for a job, ever less often, until it is over, and returns how it ended:
        look at its state. ``progress`` is shown every state that is seen; a
        WaitTimeoutError comes after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.05
        while True:
            job = self.job(job_id)
            if progress is not None:
                progress(job)
            if job.state not in ("queued", "running"):
                return job
            if end is not None and time.monotonic() + pause > end:
                raise WaitTimeoutError(job)
            self._caller.sleep(pause)
            pause = min(SLOWEST_POLL, pause * 1.5)

    def retry(self, job_id: str) -> Job:
        """Makes a load that failed or was cancelled go on where it was."""
        return self._caller.post(Job, _job(job_id) + "/retry")

    def cancel(self, job_id: str) -> Job:
        """Ends a load that is not over. What was stored stays."""
        return self._caller.post(Job, _job(job_id) + "/cancel")

    # Reference data

    def variables(
        self, *, category: str | None = None, system: str | None = None, code: str | None = None,
        version: int | None = None, page_size: int = PAGE,
    ) -> Listing[Variable]:
        """What the node checks and has a meaning for; of the newest version by default."""
        def fetch(offset: int, pinned: str | int | None) -> tuple[list[Variable], int, int]:
            page = self._caller.get(
                models.Variables, "/v1/variables", category=category, system=system, code=code,
                version=pinned if version is None else version, offset=offset, limit=page_size,
            )
            return page.variables, page.version, page.total
        return Listing(fetch)

    def variable_versions(self) -> list[Version]:
        """Versions of the list of variables, newest first."""
        return self._caller.get(models.Versions, "/v1/variables/versions").versions

    def units(self, *, system: str | None = None, code: str | None = None, page_size: int = PAGE) -> Listing[Unit]:
        """Units that the node knows, without prefixes. The version is that of UCUM."""
        def fetch(offset: int, _: str | int | None) -> tuple[list[Unit], str, int]:
            page = self._caller.get(models.Units, "/v1/units", system=system, code=code, offset=offset, limit=page_size)
            return page.units, page.version, page.total
        return Listing(fetch)

    def codes(self, *, vocabulary: str | None = None, version: int | None = None, page_size: int = PAGE) -> Listing[CodeEntry]:
        """The site's maps of its own codes; of the newest version by default, which is 0
        if there is none."""
        def fetch(offset: int, pinned: str | int | None) -> tuple[list[CodeEntry], int, int]:
            page = self._caller.get(
                models.Codes, "/v1/codes", vocabulary=vocabulary, version=pinned if version is None else version,
                offset=offset, limit=page_size,
            )
            return page.codes, page.version, page.total
        return Listing(fetch)

    def code_versions(self) -> list[Version]:
        """Versions of the maps, newest first."""
        return self._caller.get(models.Versions, "/v1/codes/versions").versions

    def unmapped_codes(self, *, page_size: int = PAGE) -> Iterator[UnmappedCode]:
        """Codes without a standard concept in what is stored, by frequency."""
        seen = 0
        while True:
            page = self._caller.get(models.UnmappedCodes, "/v1/codes/unmapped", offset=seen, limit=page_size)
            yield from page.codes
            seen += len(page.codes)
            if not page.codes or seen >= page.total:
                return

    # What is stored

    def series(self, *, system: str | None = None, code: str | None = None) -> list[Series]:
        """What the node has time series of."""
        return self._caller.get(models.AllSeries, "/v1/series", system=system, code=code).series

    def quality(self) -> QualityReport:
        """The last data quality report."""
        return self._caller.get(QualityReport, "/v1/quality")

    def run_quality(self) -> QualityReport:
        """Makes a data quality report, which takes seconds to minutes."""
        return self._caller.post(QualityReport, "/v1/quality/runs", timeout=LONG)

    def job_report(self, job_id: str) -> LoadReport:
        """The data quality report of a load."""
        return self._caller.get(LoadReport, _job(job_id) + "/report")

    def status(self) -> Status:
        """How the node stands."""
        return self._caller.get(Status, "/v1/status")


def _job(job_id: str) -> str:
    return "/v1/ingest/jobs/" + quote(job_id, safe="")


def _batches(observations: Iterable[Observation]) -> Iterator[list[bytes]]:
    """The observations as JSON, as many together as one request may have."""
    batch: list[bytes] = []
    size = 0
    for one in observations:
        raw = json.dumps(write(one), allow_nan=False, separators=(",", ":")).encode()
        if batch and size + len(raw) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(raw)
        size += len(raw) + 1
    if batch:
        yield batch
