"""Who a client is: a token of the node, or a registered client that gets tokens by OAuth."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from .errors import NetworkError, OAuthError, TrialmeshError
from .keys import base64url, signer
from .transport import Transport, checked_url

DISCOVERY = "/fhir/.well-known/smart-configuration"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFE = 240  # seconds that a signed assertion holds; servers take at most 300
SPARE = 30  # seconds before its end at which a token is renewed


class Auth(Protocol):
    """What a client shows the node."""

    def token(self, transport: Transport, url: str) -> str:
        """The bearer token for the node at a URL, empty to show none."""

    def renew(self) -> bool:
        """Forgets a token that was refused; False if there will be no other."""


def checked_token(token: str) -> str:
    """A token in the form of RFC 6750, as a file has it. The error does not repeat it."""
    token = token.strip()
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        raise ValueError("the token is not of the form of a bearer token")
    return token


class Bearer:
    """A token that stays, such as the one in the node's directory."""

    def __init__(self, token: str) -> None:
        self._token = checked_token(token)

    def token(self, transport: Transport, url: str) -> str:
        return self._token

    def renew(self) -> bool:
        return False


class Nobody:
    """Shows nothing, where anybody may read."""

    def token(self, transport: Transport, url: str) -> str:
        return ""

    def renew(self) -> bool:
        return False


class BackendService:
    """A client that is registered at the node (SMART Backend Services). It signs with its
    private key and needs trialmesh[oauth].

    ``key`` is a private JWK with its ``kid``, of EC on P-384 (ES384) or RSA (RS384), whose
    public half the node knows; ``scope`` is what the client asks for, between spaces.
    """

    def __init__(self, client_id: str, key: Mapping[str, Any], scope: str) -> None:
        self._client_id, self._scope = client_id, scope
        self._algorithm, self._sign = signer(key)
        self._kid = str(key["kid"])
        self._token, self._until = "", 0.0  # of time.monotonic
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"BackendService({self._client_id!r})"

    def token(self, transport: Transport, url: str) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._fetch(transport, url)
            return self._token

    def renew(self) -> bool:
        with self._lock:
            self._until = 0.0
        return True

    def _fetch(self, transport: Transport, url: str) -> None:
        endpoint = _discover(transport, url)
        form = urlencode({
            "grant_type": "client_credentials", "scope": self._scope,
            "client_assertion_type": ASSERTION, "client_assertion": self._assertion(endpoint),
        })
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            answer = transport.exchange("POST", endpoint, headers, form.encode())
        except NetworkError as err:
            raise NetworkError(f"{err}; this address comes from the node, whose setting url gives it", err.attempts) from err.__cause__
        if answer.status != 200:
            raise OAuthError.of(answer)
        try:
            given = json.loads(answer.body)
            self._token, life = checked_token(given["access_token"]), float(given.get("expires_in", 60))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise TrialmeshError("the authorization server's answer holds no token") from None
        self._until = time.monotonic() + max(life - SPARE, life / 2)

    def _assertion(self, endpoint: str) -> str:
        """A JWT that says who asks (RFC 7523)."""
        now = int(time.time())
        header = {"alg": self._algorithm, "kid": self._kid, "typ": "JWT"}
        claims = {
            "iss": self._client_id, "sub": self._client_id, "aud": endpoint,
            "iat": now, "exp": now + LIFE, "jti": str(uuid.uuid4()),
        }
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{base64url(self._sign(signed.encode()))}"


def _discover(transport: Transport, url: str) -> str:
    """Where tokens are given."""
    answer = transport.exchange("GET", url + DISCOVERY, {"Accept": "application/json"})
    if answer.status != 200:
        raise OAuthError.of(answer)
    try:
        return checked_url(json.loads(answer.body)["token_endpoint"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TrialmeshError("the node's smart-configuration names no token endpoint that may be used") from None
