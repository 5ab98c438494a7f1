"""Canonical JSON and names by keys, against protocol/vectors and RFC 8785."""

import hashlib
import json
import pickle
import random
import struct
import unittest
from pathlib import Path

from trialmesh import canonical, identity

VECTORS = Path(__file__).parent / "../../../vectors"

# RFC 8785, appendix B.
NUMBERS = {
    0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
    0x7FEFFFFFFFFFFFFF: "1.7976931348623157e+308", 0xFFEFFFFFFFFFFFFF: "-1.7976931348623157e+308",
    0x4340000000000000: "9007199254740992", 0xC340000000000000: "-9007199254740992", 0x4430000000000000: "295147905179352830000",
    0x44B52D02C7E14AF5: "9.999999999999997e+22", 0x44B52D02C7E14AF6: "1e+23", 0x44B52D02C7E14AF7: "1.0000000000000001e+23",
    0x444B1AE4D6E2EF4E: "999999999999999700000", 0x444B1AE4D6E2EF4F: "999999999999999900000", 0x444B1AE4D6E2EF50: "1e+21",
    0x3EB0C6F7A0B5ED8C: "9.999999999999997e-7", 0x3EB0C6F7A0B5ED8D: "0.000001",
    0x41B3DE4355555553: "333333333.3333332", 0x41B3DE4355555554: "333333333.33333325", 0x41B3DE4355555555: "333333333.3333333",
    0x41B3DE4355555556: "333333333.3333334", 0x41B3DE4355555557: "333333333.33333343",
    0xBECBF647612F3696: "-0.0000033333333333333333", 0x43143FF3C1CB0959: "1424953923781206.2",
}


def vectors(name):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


class CanonicalTest(unittest.TestCase):
    def test_vectors(self):
        for v in vectors("canonical.json"):
            with self.subTest(v["json"]):
                if v.get("refused"):
                    self.assertRaises(canonical.CanonicalError, canonical.transform, v["json"])
                    continue
                text = canonical.transform(v["json"])
                self.assertEqual(text.decode(), v["canonical"])
                self.assertEqual(hashlib.sha256(text).hexdigest(), v["sha256"])
                self.assertEqual(canonical.transform(text), text)

    def test_numbers_of_rfc_8785(self):
        for bits, want in NUMBERS.items():
            (x,) = struct.unpack(">d", struct.pack(">Q", bits))
            self.assertEqual(canonical.encode(x).decode(), want)

    def test_a_double_reads_back_as_itself(self):
        draw = random.Random(1)
        for _ in range(5000):
            (x,) = struct.unpack(">d", draw.randbytes(8))
            if x - x == 0:
                text = canonical.encode(x).decode()
                self.assertEqual(float(text), x)
                self.assertEqual(canonical.encode(float(text)).decode(), text)

    def test_what_readers_disagree_on_is_refused(self):
        deep = "[" * 65 + "]" * 65
        for text in ('{"a":1,"\\u0061":2}', "[NaN]", "[-Infinity]", "1e999", "1" * 5000, "295147905179352825856", '"\\udc00x"', deep, "[" * 100_000,
                     b'"\xff"', '"\t"', "", "01", "\ufeff1"):
            with self.subTest(text[:20]):
                self.assertRaises(canonical.CanonicalError, canonical.transform, text)
        self.assertEqual(canonical.transform(deep[1:-1]), deep[1:-1].encode())
        for value in ({1: 2}, {"a": {3}}, float("nan"), "\ud800", 1 << 53 | 1, b"bytes"):
            with self.subTest(value):
                self.assertRaises(canonical.CanonicalError, canonical.encode, value)


class IdentityTest(unittest.TestCase):
    def test_vectors(self):
        known = vectors("identity.json")
        for v in known["keys"]:
            key = identity.Key.from_seed(bytes.fromhex(v["seed"]))
            self.assertEqual(key.did, v["did"])
            self.assertEqual(identity.public_key(v["did"]).hex(), v["publicKey"])
            self.assertEqual(key.sign(v["message"].encode()).hex(), v["signature"])
            self.assertTrue(identity.verify(v["did"], v["message"].encode(), bytes.fromhex(v["signature"])))
            self.assertFalse(identity.verify(v["did"], b"another", bytes.fromhex(v["signature"])))
            self.assertFalse(identity.verify(v["did"], v["message"].encode(), b"short"))
        for text in [*known["refused"], known["keys"][0]["did"].replace("z6Mk", "z16Mk"), known["keys"][0]["did"] + " " * 99]:
            with self.subTest(text):
                self.assertRaises(ValueError, identity.public_key, text)

    def test_a_key_is_not_shown(self):
        key = identity.Key.from_seed(bytes(32))
        self.assertEqual(f"{key} {key!r} {[key]}", "Key(redacted) Key(redacted) [Key(redacted)]")
        self.assertRaises(TypeError, pickle.dumps, key)
        with self.assertRaisesRegex(ValueError, "trialmesh key new"):
            identity.Key.parse(b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n")
