"""Keys of registered clients, as JSON Web Keys (RFC 7517). All but public_keys needs the
package cryptography."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from . import extras

PUBLIC = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


def new_key() -> dict[str, str]:
    """A new private key for ES384. Whoever has it is the client: keep it as a password."""
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec

    private: Any = ec.generate_private_key(ec.SECP384R1())  # which has numbers, whatever its type says
    numbers = private.private_numbers()
    point = numbers.public_numbers
    x, y, d = (base64url(n.to_bytes(48, "big")) for n in (point.x, point.y, numbers.private_value))
    return {"kty": "EC", "crv": "P-384", "kid": _thumbprint({"kty": "EC", "crv": "P-384", "x": x, "y": y}), "x": x, "y": y, "d": d}


def public_keys(*keys: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Web Key Set of the public halves, which the node is given."""
    return {"keys": [{name: key[name] for name in ("kid", *PUBLIC[key["kty"]])} for key in keys]}


def signer(key: Mapping[str, Any]) -> tuple[str, Callable[[bytes], bytes]]:
    """The algorithm of a private key (RFC 7518, section 6) and what signs with it."""
    _require_cryptography()
    try:
        if key["kid"] and key["kty"] == "EC" and key["crv"] == "P-384":
            return "ES384", _ec_signer(key)
        if key["kid"] and key["kty"] == "RSA":
            return "RS384", _rsa_signer(key)
    except (KeyError, ValueError):
        pass  # and not what is wrong, which could repeat the key
    raise ValueError("the key is no private JWK of EC on P-384 or of RSA with a kid")


def _ec_signer(key: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    public = ec.EllipticCurvePublicNumbers(_number(key, "x"), _number(key, "y"), ec.SECP384R1())
    private = ec.EllipticCurvePrivateNumbers(_number(key, "d"), public).private_key()

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA384())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    return sign


def _rsa_signer(key: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    p, q, d, dp, dq, qi = (_number(key, name) for name in ("p", "q", "d", "dp", "dq", "qi"))
    public = rsa.RSAPublicNumbers(_number(key, "e"), _number(key, "n"))
    private = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()
    return lambda message: private.sign(message, padding.PKCS1v15(), hashes.SHA384())


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise extras.missing("signing needs the package cryptography", "oauth") from None


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(key: Mapping[str, Any], name: str) -> int:
    text = str(key[name])
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _thumbprint(public: Mapping[str, str]) -> str:
    """RFC 7638."""
    text = json.dumps(public, sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(text.encode()).digest())
