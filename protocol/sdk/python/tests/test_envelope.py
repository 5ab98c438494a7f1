"""Signed messages, against those that the Go code made. Ed25519 has one signature for a
key and a message: what is equal here, the Go code reads."""

import datetime
import unittest

from trialmesh import envelope
from trialmesh.identity import Key

from .test_canonical import vectors


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class EnvelopeTest(unittest.TestCase):
    def test_what_go_made_opens_or_is_refused_by_the_same_rule(self):
        refused = 0
        for v in vectors("envelope.json"):
            with self.subTest(v["name"]):
                if rule := v.get("refused"):
                    refused += 1
                    with self.assertRaises(envelope.EnvelopeError) as err:
                        envelope.check(v["envelope"], v["kind"], at(v["at"]))
                    self.assertEqual(err.exception.rule, rule)
                    continue
                self.assertEqual(envelope.check(v["envelope"], v["kind"], at(v["at"])), v["envelope"]["body"])
                self.assertEqual(envelope.signed(v["envelope"]).decode(), v["signed"])
                self.assertEqual(envelope.digest(v["envelope"]), v["digest"])
        self.assertGreater(refused, 5)

    def test_what_is_sealed_here_is_what_go_seals(self):
        keys = {v["did"]: Key.from_seed(bytes.fromhex(v["seed"])) for v in vectors("identity.json")["keys"]}
        made = [v["envelope"] for v in vectors("envelope.json") if "signed" in v]
        self.assertTrue(made)
        for e in made:
            again = envelope.seal(
                keys[e["issuer"]], e["kind"], e["body"], issued=at(e["issued"]).astimezone(datetime.timezone(datetime.timedelta(hours=5))),
                life=at(e["expires"]) - at(e["issued"]), nonce=bytes.fromhex(e["nonce"]),
            )
            self.assertEqual(again, e)

    def test_what_is_malformed_is_refused(self):
        good = next(v["envelope"] for v in vectors("envelope.json") if "signed" in v)
        for change in ({"nonce": "ab"}, {"nonce": 7}, {"signature": "?"}, {"issued": "2026-11-21T12:00:00.5Z"}, {"issued": 5}, {"more": 1}):
            with self.subTest(change), self.assertRaises(envelope.EnvelopeError) as err:
                envelope.check({**good, **change}, good["kind"])
            self.assertEqual(err.exception.rule, "message.malformed")
        for change in ({"issuer": "did:key:zz"}, {"issuer": None}, {"signature": ""}, {"nonce": "cd" * 16}):
            with self.subTest(change), self.assertRaises(envelope.EnvelopeError) as err:
                envelope.check({**good, **change}, good["kind"])
            self.assertEqual(err.exception.rule, "message.signature")
        with self.assertRaises(envelope.EnvelopeError) as err:
            envelope.check({**good, "expires": good["issued"]}, good["kind"])
        self.assertEqual(err.exception.rule, "message.lifetime")
