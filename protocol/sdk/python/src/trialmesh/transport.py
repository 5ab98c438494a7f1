"""One exchange over HTTP/1.1: a request, and its answer read to the end."""

from __future__ import annotations

import http.client
import os
import selectors
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Protocol

from .errors import NetworkError, TrialmeshError

VERSION = "0.1.0"
MAX_ANSWER = 16 << 20  # bytes
BLOCK = 256 << 10  # bytes that are read of a file and sent at once
LOCAL = {"localhost", "127.0.0.1", "::1"}


class Body(Protocol):
    """What a request sends, bit by bit."""

    size: int  # bytes

    def read(self, n: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


def checked_url(url: str) -> str:
    """The URL without a slash at its end. A token goes over TLS, or stays on this machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise ValueError("a URL is like https://node.example, without user, query or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise ValueError("a URL begins with https://; http:// is for this machine only")
    return url.rstrip("/")


class Transport:
    """Connections, kept open for the next request. Several threads may use one.

    ``remedy`` says what to do when a certificate is not trusted, ``oldest`` is the oldest
    version of TLS that is spoken.
    """

    def __init__(
        self, ca: str | os.PathLike[str] | None, timeout: float, *,
        remedy: str = "if the hospital has its own certificate authority, name its file with ca=",
        oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ) -> None:
        self._tls = ssl.create_default_context(cafile=None if ca is None else os.fspath(ca))
        self._tls.minimum_version = oldest
        self._timeout, self._remedy = timeout, remedy
        self._idle: dict[str, list[http.client.HTTPConnection]] = {}

    def close(self) -> None:
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Body | None = None, timeout: float | None = None
    ) -> Answer:
        """The answer, whatever its status. ``timeout`` is in seconds without a byte."""
        parts = urllib.parse.urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        conn = self._connection(origin)
        conn.timeout = timeout or self._timeout
        try:
            if conn.sock is None:
                conn.connect()
            assert conn.sock
            conn.sock.settimeout(conn.timeout)
            conn.request(method, url.removeprefix(origin), body, {"User-Agent": f"trialmesh-python/{VERSION}", **headers})
            response = conn.getresponse()
            answer = Answer(response.status, response.headers, response.read(MAX_ANSWER + 1))
        except (OSError, http.client.HTTPException) as err:
            conn.close()
            raise _unreached(f"{method} {parts.path}", origin, err, self._remedy) from err
        except BaseException:  # what is sent could not be read; the request is cut short
            conn.close()
            raise
        if len(answer.body) > MAX_ANSWER:
            conn.close()
            raise TrialmeshError(f"{method} {parts.path}: the answer is over {MAX_ANSWER} bytes")
        self._idle.setdefault(origin, []).append(conn)
        return answer

    def _connection(self, origin: str) -> http.client.HTTPConnection:
        """One that is open, or a new one."""
        for _ in range(len(self._idle.get(origin, []))):
            try:
                conn = self._idle[origin].pop()
            except IndexError:  # another thread took it
                break
            if conn.sock is not None and not _readable(conn.sock):
                return conn
            conn.close()
        parts = urllib.parse.urlsplit(origin)
        assert parts.hostname
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, parts.port, context=self._tls, blocksize=BLOCK)
        return http.client.HTTPConnection(parts.hostname, parts.port, blocksize=BLOCK)


def _unreached(request: str, origin: str, err: Exception, remedy: str) -> NetworkError:
    """Why there is no answer, and what to change where that is known."""
    if isinstance(err, ssl.SSLCertVerificationError):
        why = f"the certificate of {origin} is not trusted ({err.verify_message})"
        return NetworkError(f"{request}: {why}; {remedy}", 1)
    if isinstance(err, socket.gaierror):
        return NetworkError(f"{request}: the host of {origin} is not known here, its name has no address", 2)
    return NetworkError(f"{request}: {origin} was not reached or hung up ({type(err).__name__})")


def _readable(sock: socket.socket) -> bool:
    """Whether something came on an idle connection: then it is the end of it."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
