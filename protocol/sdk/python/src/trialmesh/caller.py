"""Requests with a token, made again when that may help."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from .auth import Auth
from .errors import NetworkError, ProblemError, TrialmeshError
from .transport import Answer, Body, Transport
from .wire import read

T = TypeVar("T")

LONGEST = 60.0  # seconds that are waited before a request is made again

# Statuses that say that nothing was done, and of proxies that do not know.
REFUSED_FOR_NOW = {423, 429, 503}
UNKNOWN = {502, 504}


def pause(failures: int, retry_after: float | None) -> float:
    """Seconds to wait after so many failures, from 1: doubled each time up to ten, and
    up to half of it less, so that many clients do not come at once."""
    if retry_after is not None:
        return retry_after + random.uniform(0, 0.25)
    return min(10.0, 0.125 * 2.0**failures) * random.uniform(0.5, 1)


class Caller:
    """Makes requests to one node, or to a hub."""

    def __init__(self, transport: Transport, url: str, auth: Auth, attempts: int) -> None:
        self.transport, self.url, self._auth, self.attempts = transport, url, auth, attempts
        self.sleep: Callable[[float], None] = time.sleep

    def get(self, model: type[T], path: str, **query: object) -> T:
        """What a read answers; a parameter that is None is not sent."""
        return self._model(model, self.request("GET", with_query(path, query)))

    def post(
        self, model: type[T], path: str, body: bytes | None = None, *, key: str | None = None, timeout: float | None = None
    ) -> T:
        """What an act answers. With an idempotency key it may be repeated."""
        headers = {"Content-Length": "0"} if body is None else {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = quoted(key)
        return self._model(model, self.request("POST", path, headers, body, timeout))

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None,
        timeout: float | None = None, *, harmless: bool = False,
    ) -> Answer:
        """A request that is made again when the node could not take it; also when nobody
        knows what became of it, unless it is an act without an idempotency key that is
        not ``harmless`` to do twice."""
        headers = headers or {}
        repeatable = harmless or method != "POST" or "Idempotency-Key" in headers
        failures = 0
        while True:
            try:
                return self.once(method, path, headers, body, timeout)
            except (NetworkError, ProblemError) as err:
                failures += 1
                self.wait_after(err, failures, repeatable)

    def wait_after(self, err: NetworkError | ProblemError, failures: int, repeatable: bool) -> None:
        """Waits until the request may be made again, or raises its error."""
        after, attempts = None, self.attempts
        if isinstance(err, ProblemError):
            after = err.retry_after
            # Status 409 is of an earlier request with the same key that is under way.
            passing = err.status in REFUSED_FOR_NOW or repeatable and err.status in UNKNOWN | {409}
        else:
            passing, attempts = repeatable, min(attempts, err.attempts or attempts)
        if not passing or failures >= attempts or (after or 0) > LONGEST:
            raise err
        self.sleep(pause(failures, after))

    def once(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Body | None = None, timeout: float | None = None
    ) -> Answer:
        """A request that is made once; twice if the token has to be renewed."""
        answer = self._send(method, path, headers, body, timeout)
        if answer.status == 401 and (body is None or isinstance(body, bytes)) and self._auth.renew():
            answer = self._send(method, path, headers, body, timeout)
        if answer.status >= 300:
            raise ProblemError.of(answer)
        return answer

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | Body | None, timeout: float | None) -> Answer:
        token = self._auth.token(self.transport, self.url)
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        return self.transport.exchange(method, self.url + path, {**headers, **shown}, body, timeout)

    def _model(self, model: type[T], answer: Answer) -> T:
        try:
            value = json.loads(answer.body)
        except ValueError:
            raise TrialmeshError("the node's answer is no JSON: is the URL that of a node?") from None
        return read(model, value)


def with_query(path: str, query: Mapping[str, Any]) -> str:
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{text}" if text else path


def quoted(key: str) -> str:
    """An idempotency key as its header has it: a string of RFC 9651."""
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise ValueError("an idempotency key has 1 to 255 printable characters of ASCII")
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
