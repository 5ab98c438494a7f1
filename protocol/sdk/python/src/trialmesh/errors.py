"""What can go wrong. No error holds a token, a key or a value of a record."""

from __future__ import annotations

import email.utils
import http
import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .fixes import FIXES

if TYPE_CHECKING:
    from .models import Job
    from .transport import Answer

PREFIX = "urn:trialmesh:problem:"

# How the hub and the nodes begin a sentence about one field of a question.
ABOUT_FIELD = re.compile(r"(?:query: (?P<field>[a-z][\w.\[\]]*)|(?P<cohort>cohort: [A-Z][\w.\[\]]*)|(?P<formula>formula), byte \d+): ")


class TrialmeshError(Exception):
    """The base of all errors of this package."""


class NetworkError(TrialmeshError):
    """The node was not reached, or it hung up before it had answered.

    ``attempts`` is how often it is tried at most where trying again hardly helps: once if
    the certificate is not trusted, twice if the host's name has no address, else ``None``.
    """

    def __init__(self, message: str, attempts: int | None = None) -> None:
        super().__init__(message)
        self.attempts = attempts


class FileChangedError(TrialmeshError):
    """A file is not what it was when its upload began: upload it from its beginning."""


class WaitTimeoutError(TrialmeshError):
    """A job was not over in time. It goes on; ``job`` is how it stood last."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} is not over: it is {job.state}")
        self.job = job


class ProblemError(TrialmeshError):
    """The node refused, with a problem document (RFC 9457).

    ``type`` is a URN and ``kind`` its last part, such as ``not-found``; ``title`` says
    what happened, ``detail`` which field it is about and ``rule`` which rule refused,
    both ``None`` if the node does not say. ``errors`` are the document's single faults.
    ``retry_after`` are the seconds after which the node may take it, if it says so, and
    ``scope`` is what the client's token would have to allow.
    """

    def __init__(
        self, status: int, document: Mapping[str, Any], retry_after: float | None = None, scope: str | None = None
    ) -> None:
        self.status = status
        self.type = str(document.get("type") or "about:blank")
        self.title = str(document.get("title") or _phrase(status))
        self.detail: str | None = document.get("detail")
        self.rule: str | None = document.get("rule")
        errors = document.get("errors")
        self.errors: list[Any] = errors if isinstance(errors, list) else []
        self.retry_after = retry_after
        self.scope = scope
        text = self.title + (f": {self.detail}" if self.detail else "")
        text += f" (status {status}, rule {self.rule})" if self.rule else f" (status {status})"
        super().__init__(text + (f"; {FIXES[self.rule]}" if self.rule in FIXES else ""))

    @property
    def kind(self) -> str:
        return self.type.removeprefix(PREFIX)

    @property
    def field(self) -> str | None:
        """The field of the question or the request that it is about, such as
        ``analysis.by[0]`` or ``cohort.InclusionRules[0].expression``."""
        if found := ABOUT_FIELD.match(self.title):
            return next(text for text in found.groups() if text).replace("cohort: ", "cohort.")
        named, _, rest = (self.detail or "").partition(": ")
        return named if rest and " " not in named else None

    @property
    def fix(self) -> str | None:
        """What to change, where it is known: of a rule what the guide for researchers
        says of it, else what the sentence says of the field."""
        if self.rule in FIXES:
            return FIXES[self.rule]
        if found := ABOUT_FIELD.match(self.title):
            return self.title[found.end():]
        return self.detail

    @classmethod
    def of(cls, answer: Answer) -> ProblemError:
        return cls(answer.status, _document(answer), _retry_after(answer), _scope(answer))


class OAuthError(ProblemError):
    """The authorization server gave no token. ``title`` is its error, such as
    ``invalid_client``, and ``detail`` its description (RFC 6749, section 5.2)."""

    @classmethod
    def of(cls, answer: Answer) -> OAuthError:
        document = _document(answer)
        said = {"title": document.get("error") or document.get("title"), "detail": document.get("error_description")}
        return cls(answer.status, said, _retry_after(answer))


def _document(answer: Answer) -> Mapping[str, Any]:
    """What an answer says of its refusal; a proxy's page says nothing."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "refused"


def _scope(answer: Answer) -> str | None:
    """The scope that is missing (RFC 6750, section 3)."""
    said = re.search(r'[\s,]scope="([^"]+)"', answer.headers.get("WWW-Authenticate", ""))
    return str(said[1]) if said else None


def _retry_after(answer: Answer) -> float | None:
    """Seconds, of a header that has them or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
