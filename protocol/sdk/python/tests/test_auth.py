"""Tokens by SMART Backend Services, from a small authorization server."""

import base64
import io
import json
import socket
import unittest
import urllib.parse
from unittest import mock

import trialmesh

from .stub import serving

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
except ImportError:
    raise unittest.SkipTest("the package cryptography is not installed") from None


def base64url(n):
    return base64.urlsafe_b64encode(n.to_bytes((n.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


EC = trialmesh.new_key()
RSA = rsa.generate_private_key(65537, 2048)


def rsa_jwk():
    n = RSA.private_numbers()
    names = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q, "dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
    return {"kty": "RSA", "kid": "k2"} | {name: base64url(value) for name, value in names.items()}


def verify_ec(signature, message):
    r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
    (public,) = trialmesh.public_keys(EC)["keys"]
    x, y = (int.from_bytes(decoded(public[name]), "big") for name in "xy")
    point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1())
    point.public_key().verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))


def verify_rsa(signature, message):
    RSA.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA384())


class Server:
    """A node that takes the tokens that its own authorization server gave last."""

    def __init__(self, expires_in=300):
        self.given, self.expires_in, self.answer = [], expires_in, None

    def __call__(self, asked):
        method, path, headers, body = asked
        if path == "/fhir/.well-known/smart-configuration":
            return 200, {}, json.dumps({"token_endpoint": f"http://{headers['Host']}/token"}).encode()
        if path == "/token":
            if self.answer is not None:
                return self.answer
            self.form = dict(urllib.parse.parse_qsl(body.decode()))
            self.given.append(f"token-{len(self.given)}")
            return 200, {}, json.dumps({"access_token": self.given[-1], "expires_in": self.expires_in}).encode()
        if method == "PATCH" and self.given == ["token-0"]:
            self.given.append("another")  # as if the token had ended just now
        if headers["Authorization"] != f"Bearer {self.given[-1]}":
            return 401, {}, b"{}"
        if path.startswith("/v1/ingest/uploads/"):
            loaded = {"Trialmesh-File": "00", "Trialmesh-Job": "7"} if method == "PATCH" else {}
            return 200, {"Upload-Offset": "0", "Upload-Length": "5", **loaded}, b""
        return 200, {}, b'{"series":[]}'


class BackendServiceTest(unittest.TestCase):
    def test_the_assertion_says_who_asks(self):
        for key, algorithm, verify in ((EC, "ES384", verify_ec), (rsa_jwk(), "RS384", verify_rsa)):
            server = Server()
            with self.subTest(algorithm), serving(server) as (url, _):
                service = trialmesh.BackendService("site-loader", key, "system/*.rs")
                with trialmesh.Client(url, service) as node:
                    self.assertEqual(node.series(), [])
                header, claims, signature = server.form["client_assertion"].split(".")
                verify(decoded(signature), f"{header}.{claims}".encode())
                head, said = json.loads(decoded(header)), json.loads(decoded(claims))
                self.assertEqual((head["alg"], head["kid"]), (algorithm, key["kid"]))
                self.assertEqual((said["iss"], said["sub"], said["aud"]), ("site-loader", "site-loader", f"{url}/token"))
                self.assertTrue(0 < said["exp"] - said["iat"] <= 300)
                self.assertEqual(server.form["grant_type"], "client_credentials")
                self.assertEqual(server.form["scope"], "system/*.rs")

    def test_a_token_is_kept_and_renewed_before_it_ends(self):
        server = Server(expires_in=300)
        with serving(server) as (url, _), mock.patch("trialmesh.auth.time.monotonic") as clock:
            with trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
                for now, tokens in ((1000, 1), (1269, 1), (1271, 2), (1500, 2)):
                    clock.return_value = now
                    node.series()
                    self.assertEqual(len(server.given), tokens, now)

    def test_a_token_that_is_refused_is_renewed_once(self):
        server = Server()
        with serving(server) as (url, asked), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
            node.series()
            server.given.append("another")  # as if the node had forgotten it
            node.series()
            self.assertEqual(server.given[-1], "token-2")
        refusing = mock.Mock(side_effect=lambda asked: (401, {}, b"{}") if asked[1] == "/v1/series" else server(asked))
        with serving(refusing) as (url, asked), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
            with self.assertRaises(trialmesh.ProblemError):
                node.series()
            self.assertEqual([path for _, path, _, _ in asked].count("/v1/series"), 2)

    def test_a_token_may_end_while_a_file_is_sent(self):
        server = Server()
        with serving(server) as (url, asked), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
            self.assertEqual(node.upload(io.BytesIO(b"hello"), resume="u").job_id, "7")
        self.assertEqual([method for method, path, _, _ in asked if "uploads" in path], ["HEAD", "PATCH", "HEAD", "HEAD", "PATCH"])
        self.assertEqual(asked[-1][3], b"hello")

    def test_who_gets_no_token_hears_why(self):
        server = Server()
        server.answer = 400, {}, b'{"error":"invalid_scope","error_description":"no such scope"}'
        with serving(server) as (url, _), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
            with self.assertRaises(trialmesh.OAuthError) as refused:
                node.series()
        self.assertEqual((refused.exception.title, refused.exception.detail), ("invalid_scope", "no such scope"))

    def test_of_an_endpoint_that_is_not_reached_is_said_who_names_it(self):
        document = (200, {}, json.dumps({"token_endpoint": "https://node.invalid/token"}).encode())
        with serving(document) as (url, asked), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
            node._caller.sleep = lambda _: None
            resolve = socket.getaddrinfo

            def resolving(host, *rest):
                if host == "node.invalid":
                    raise socket.gaierror(socket.EAI_NONAME, "no such name")
                return resolve(host, *rest)

            with mock.patch("socket.getaddrinfo", resolving):
                with self.assertRaisesRegex(trialmesh.NetworkError, "host of https://node.invalid is not known.* setting url gives it"):
                    node.series()
            self.assertEqual(len(asked), 2)

    def test_an_assertion_goes_to_no_plain_address(self):
        for endpoint in ("http://elsewhere.example/token", "", None):
            document = (200, {}, json.dumps({"token_endpoint": endpoint}).encode())
            with self.subTest(endpoint), serving(document) as (url, asked), trialmesh.Client(url, trialmesh.BackendService("c", EC, "s")) as node:
                with self.assertRaises(trialmesh.TrialmeshError):
                    node.series()
                self.assertEqual(len(asked), 1)

    def test_of_a_key_the_public_half_goes_to_the_node(self):
        key = {"kty": "EC", "crv": "P-384", "kid": "k", "x": "X", "y": "Y", "d": "D", "alg": "ES384"}
        self.assertEqual(trialmesh.public_keys(key), {"keys": [{"kid": "k", "crv": "P-384", "kty": "EC", "x": "X", "y": "Y"}]})
        self.assertEqual(set(trialmesh.public_keys(rsa_jwk())["keys"][0]), {"kid", "kty", "n", "e"})
        self.assertNotEqual(trialmesh.new_key()["kid"], EC["kid"])

    def test_a_key_that_cannot_sign_is_refused_and_not_shown(self):
        secret = EC["d"]
        self.assertNotIn(secret, repr(trialmesh.BackendService("c", EC, "s")))
        for broken in ({}, {"kty": "oct", "k": secret}, EC | {"crv": "P-256"}, EC | {"x": secret}, EC | {"kid": ""}, {**rsa_jwk(), "qi": "", "d": secret}):
            with self.assertRaises(ValueError) as refused:
                trialmesh.BackendService("c", broken, "s")
            self.assertNotIn(secret, str(refused.exception))
