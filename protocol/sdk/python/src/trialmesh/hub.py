"""The hub of a network, for researchers: ask the hospitals of a trial, read the answers."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

from . import analysis, envelope, evidence, question
from .answer import Answer
from .auth import Auth, Bearer, Nobody
from .caller import Caller, with_query
from .errors import TrialmeshError
from .evidence import Check
from .identity import Key
from .transport import Transport, checked_url
from .withheld import OpenError, WithheldError

REQUEST_LIFE = datetime.timedelta(hours=24)  # how long nodes accept a signed question
POLL = 30.0  # seconds that one request waits at the hub at most
ROUND = 1.0  # seconds, while somebody is told how a question goes
SPARE = 60.0  # seconds beyond a deadline in which the hub has to say what became of it
MAX_LISTED = 100

File = str | os.PathLike[str]
Progress = Callable[[Answer], object]


class Hub:
    """Talks to one hub, with the files that the command trialmesh query takes.

    ``key`` is the file with the researcher's signing key, ``token_file`` the one with the
    token that the hub's operator gave, and ``root`` the one with the hub's root
    certificate, in place of the system's. Reading needs neither key nor token. ``timeout``
    is in seconds without a byte, beyond what a request waits for. ``attempts`` is how
    often a request is made that may be repeated. Several threads may use one.
    """

    def __init__(
        self, url: str, *, key: File | Key | None = None, token_file: File | None = None, root: File | None = None,
        timeout: float = 60, attempts: int = 8,
    ) -> None:
        self._url = checked_url(url)
        if urlsplit(self._url).scheme != "https":
            raise ValueError("a hub's URL begins with https://")
        self._key = key if isinstance(key, Key) or key is None else Key.read(key)
        auth: Auth = Nobody()
        if token_file is not None:
            auth = Bearer(Path(token_file).read_text("ascii"))
        self._timeout = timeout
        self._transport = Transport(
            root, timeout, remedy="name the file with the hub's root certificate with root=", oldest=ssl.TLSVersion.TLSv1_3
        )
        self._caller = Caller(self._transport, self._url, auth, attempts)
        self._sites: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Hub({self._url!r})"

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    # Questions by kind

    def count(
        self, trial: str, cohort: question.Source, by: Iterable[str] = (), *, purpose: str, deadline: float = 60,
        progress: Progress | None = None,
    ) -> Answer:
        """How many persons are in a cohort, by strata.

        ``cohort`` is an OHDSI cohort definition as ATLAS exports it, an object or the name
        of its file. ``purpose`` says in words what the answer is for; it is public for
        good. For ``deadline`` and ``progress``, and what is raised, see run.
        """
        return self.run(question.request(trial, cohort, analysis.count(by), purpose), deadline=deadline, progress=progress)

    def means(
        self, trial: str, cohort: question.Source, variable: Mapping[str, Any], by: Iterable[str] = (), *, purpose: str,
        deadline: float = 60, progress: Progress | None = None,
    ) -> Answer:
        """Number, mean and standard deviation of a variable, which measured makes, by
        strata. The rest is as in count."""
        return self.run(question.request(trial, cohort, analysis.moments(variable, by), purpose), deadline=deadline, progress=progress)

    def glm(
        self, trial: str, cohort: question.Source, formula: str, columns: Mapping[str, Mapping[str, Any] | str],
        family: str = "gaussian", *, link: str | None = None, weights: str | None = None, purpose: str, deadline: float = 60,
        progress: Progress | None = None,
    ) -> Answer:
        """A generalized linear model, as R's glm fits it to the pooled rows.

        ``formula`` is as in R. ``columns`` say where a person's values come from:
        ``{"age": "age", "pressure": trialmesh.measurement(…)}``. ``family`` is gaussian,
        binomial or poisson. The rest is as in count.
        """
        model = analysis.glm(formula, columns, family, link=link, weights=weights)
        return self.run(question.request(trial, cohort, model, purpose), deadline=deadline, progress=progress)

    def ask(
        self, kind: str, *, trial: str, cohort: question.Source, purpose: str, deadline: float = 60,
        progress: Progress | None = None, **fields: Any,
    ) -> Answer:
        """A question of any kind. ``fields`` are those of its analysis, sent as they are:
        ``ask("cox", columns=trialmesh.columns_of(…), cox={"formula": …}, trial=…)``."""
        request = question.request(trial, cohort, {"kind": kind, **fields}, purpose)
        return self.run(request, deadline=deadline, progress=progress)

    # Any question

    def run(self, source: question.Source, *, deadline: float = 60, progress: Progress | None = None) -> Answer:
        """Signs a question, sends it and waits for its answer.

        ``source`` is a whole question, an object or the name of a file in JSON or YAML.
        ``deadline`` is in seconds, up to a day: after it the answer is given without the
        nodes that are missing. ``progress`` is shown the question whenever it has gone on;
        print will do. Raised are a ProblemError if the hub refuses the question, a
        WithheldError if nothing was released, and an OpenError if there is no answer.
        """
        return self.wait(self.submit(source, deadline=deadline), timeout=deadline + SPARE, progress=progress)

    def submit(self, source: question.Source, *, deadline: float = 60) -> str:
        """Signs a question, sends it, and returns its id at once."""
        if self._key is None:
            raise ValueError("a question is signed: give the hub the file of your key, key=")
        now = datetime.datetime.now(datetime.timezone.utc)
        sealed = envelope.seal(
            self._key, envelope.REQUEST, question.read(source), issued=now, life=REQUEST_LIFE, nonce=secrets.token_bytes(envelope.NONCE)
        )
        body = json.dumps({"envelope": sealed, "deadlineSeconds": int(deadline)}).encode()
        headers = {"Content-Type": "application/json"}
        # The same envelope again is the same question.
        given = _object(self._caller.request("POST", "/v1/queries", headers, body, harmless=True).body)
        if given.get("id") != envelope.digest(sealed):
            raise TrialmeshError("the hub names another question than the one that was signed")
        return envelope.digest(sealed)

    def wait(self, question_id: str, *, timeout: float = 120, proofs: bool = False, progress: Progress | None = None) -> Answer:
        """Waits for the answer to a question, by its id or the first eight or more digits.
        With ``proofs``, until the nodes' proofs are there as well. A WithheldError says
        that nothing was released, an OpenError that there is no answer after ``timeout``
        seconds."""
        end, shown = time.monotonic() + timeout, ""
        while True:
            left = max(0.0, end - time.monotonic())
            answer = self._show(question_id, "proofs" if proofs else "result", min(POLL if progress is None else ROUND, left))
            if progress is not None and str(answer) != shown:
                shown = str(answer)
                progress(answer)
            if answer.result and (answer.json.get("proofsDone") or not proofs):
                if answer.state == "withheld":
                    raise WithheldError(answer)
                return answer
            if time.monotonic() >= end:
                raise OpenError(answer)

    def show(self, question_id: str) -> Answer:
        """A question as it stands, by its id or the first eight or more digits."""
        return self._show(question_id)

    def questions(self, limit: int = 20) -> list[Answer]:
        """The newest questions, whoever asked them, at most 100."""
        given = self._get("/v1/queries", limit=min(limit, MAX_LISTED))
        return [Answer(one) for one in given["queries"]]

    # What is public

    def trust(self) -> dict[str, Any]:
        """The hub's own trust document. It is worth as much as the connection: to verify
        an answer, get it on another way."""
        return self._get("/v1/trust")

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the network."""
        return list(self._get("/v1/nodes")["nodes"])

    def verify(self, answer: Answer, trust: question.Source) -> list[Check]:
        """Checks an answer against the public ledger: that it is signed by its researcher,
        that its numbers are those on record, and which nodes have signed for their part.
        An EvidenceError or a LedgerError names the first check that fails.

        ``trust`` is the trust document, an object or its file, got on another way than
        the answer. The trial's approval, the consents, the zero-knowledge proofs and the
        chain are for the command trialmesh verify query.
        """
        return evidence.verify(answer, question.read(trust), self._file)

    def _show(self, question_id: str, wait: str | None = None, seconds: float = 0) -> Answer:
        query = {} if wait is None else {"wait": wait, "seconds": max(1, round(seconds)) if seconds else 0}
        given = self._get("/v1/queries/" + quote(question_id, safe=""), timeout=self._timeout + seconds, **query)
        return Answer(given, self._organizations(_named(given)))

    def _organizations(self, nodes: set[str]) -> dict[str, str]:
        """The organizations of nodes, as far as the hub says: without them they have their
        keys, which is no reason not to show an answer."""
        if nodes - self._sites.keys():
            try:
                self._sites = {node["did"]: node["organization"] for node in self.nodes()}
            except (TrialmeshError, KeyError, TypeError):
                self._sites = dict.fromkeys(nodes, "")
        return self._sites

    def _get(self, path: str, timeout: float | None = None, **query: object) -> dict[str, Any]:
        return _object(self._caller.request("GET", with_query(path, query), timeout=timeout).body)

    def _file(self, path: str) -> bytes:
        return self._caller.request("GET", "/" + path).body


def _named(given: Mapping[str, Any]) -> set[str]:
    """The nodes that an answer has something to say of: who waits, refused or is missing."""
    result = given.get("result") or {}
    said = [*result.get("refused", []), *result.get("missing", [])]
    return {*given.get("waiting", []), *(one["node"] for one in said)}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise TrialmeshError("the answer is no JSON object: is the URL that of a hub?")
    return value
