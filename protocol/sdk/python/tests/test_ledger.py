"""The public ledger: what is proven, and what is found to be false."""

import base64
import functools
import hashlib
import json
import unittest
from pathlib import Path

from trialmesh import evidence, ledger
from trialmesh.answer import Answer
from trialmesh.identity import Key, public_key

ORIGIN = "test.example/log"
KEY = Key.from_seed(b"\7" * 32)
MARKED = ledger.ED25519 + public_key(KEY.did)
MARK = hashlib.sha256(ORIGIN.encode() + b"\n" + MARKED).digest()[:4]
VERIFIER = f"{ORIGIN}+{MARK.hex()}+{base64.b64encode(MARKED).decode()}"

RECORDED = Path(__file__).parent / "recorded"


def record(i):
    return json.dumps({"i": i}).encode()


@functools.cache
def tree(begin, end):
    """The root of RFC 6962, section 2.1, word by word."""
    if end - begin == 1:
        return hashlib.sha256(b"\0" + record(begin)).digest()
    k = 1
    while 2 * k < end - begin:
        k *= 2
    return hashlib.sha256(b"\1" + tree(begin, begin + k) + tree(begin + k, end)).digest()


def note(size, root=None, origin=ORIGIN, key=KEY):
    text = f"{origin}\n{size}\n{base64.b64encode(root or tree(0, size)).decode()}\n".encode()
    other = "— witness.example " + base64.b64encode(bytes(76)).decode() + "\n"
    return text + b"\n" + (other + f"— {ORIGIN} {base64.b64encode(MARK + key.sign(text)).decode()}\n").encode()


class Log:
    """The files of a ledger by their paths, as tlog-tiles says them."""

    def __init__(self, size):
        self.size, self.changed = size, {}

    def __call__(self, path):
        if path in self.changed:
            return self.changed[path]
        if path == "checkpoint":
            return note(self.size)
        _, level, *number = path.split("/")
        width = 256
        if number[-2:][0].endswith(".p"):
            width = int(number.pop())
            number[-1] = number[-1].removesuffix(".p")
        first = int("".join(part.removeprefix("x") for part in number)) * 256
        if level == "entries":
            return b"".join(len(r).to_bytes(2, "big") + r for r in map(record, range(first, first + width)))
        step = 256 ** int(level)
        return b"".join(tree(i * step, (i + 1) * step) for i in range(first, first + width))


class LedgerTest(unittest.TestCase):
    def test_entries_of_ledgers_of_all_forms_are_proven(self):
        for size, indexes in {
            1: [0], 2: [0, 1], 3: range(3), 7: range(7), 255: [0, 254], 256: [0, 255], 257: [0, 255, 256], 700: [0, 511, 512, 699],
            66_000: [0, 65_535, 65_536, 65_999],
        }.items():
            for i in indexes:
                with self.subTest(size=size, index=i):
                    self.assertEqual(ledger.View(Log(size), ORIGIN, VERIFIER).entry(i), {"i": i})

    def test_any_other_byte_is_found(self):
        for path in ("tile/entries/001", "tile/0/000", "tile/0/002.p/188", "tile/1/000.p/2"):
            log = Log(700)
            right = log(path)
            for at in range(0, len(right), max(1, len(right) // 7)):
                log.changed[path] = right[:at] + bytes([right[at] ^ 1]) + right[at + 1:]
                view, wrong = ledger.View(log, ORIGIN, VERIFIER), 0
                for i in (300, 340, 400, 480, 511) if "entries" in path else (0, 1, 300, 699):
                    try:
                        self.assertEqual(view.entry(i), {"i": i})
                    except (ledger.LedgerError, ValueError):
                        wrong += 1
                if "entries" not in path:  # in a bundle the bytes of other entries do not matter
                    self.assertGreater(wrong, 0, f"{path}, byte {at}")
        short = Log(700)
        short.changed["tile/0/000"] = b""
        self.assertRaises(ledger.LedgerError, ledger.View(short, ORIGIN, VERIFIER).entry, 1)

    def test_a_checkpoint_is_signed_by_the_ledgers_key(self):
        good = note(3)
        self.assertEqual(ledger.open_checkpoint(good, ORIGIN, VERIFIER), (3, tree(0, 3)))
        for bad in (note(3, key=Key.from_seed(bytes(32))), note(3, origin="other.example/log"), good.replace(b"\n3\n", b"\n2\n"), b"", good[:60]):
            with self.subTest(bad), self.assertRaises(ledger.LedgerError):
                ledger.open_checkpoint(bad, ORIGIN, VERIFIER)
        for size in ("-1", "03", "three", str(1 << 62)):
            with self.subTest(size), self.assertRaises(ledger.LedgerError):
                ledger.open_checkpoint(note(size, root=bytes(32)), ORIGIN, VERIFIER)
        for key in ("", ORIGIN, VERIFIER[:-4], VERIFIER.replace("+", "+0", 1)):
            with self.subTest(key), self.assertRaises(ValueError):
                ledger.open_checkpoint(good, ORIGIN, key)

    def test_an_entry_that_is_not_there(self):
        view = ledger.View(Log(3), ORIGIN, VERIFIER)
        for i in (-1, 3):
            self.assertRaises(ledger.LedgerError, view.entry, i)


class EvidenceTest(unittest.TestCase):
    """Answers of a network of the demonstration, recorded with all that the hub served."""

    def setUp(self):
        recorded = json.loads((RECORDED / "answers.json").read_text(encoding="utf-8"))
        self.trust = recorded["trust"]
        self.answers = [Answer(one) for one in recorded["answers"]]
        self.files = {path: base64.b64decode(content) for path, content in recorded["files"].items()}

    def test_what_is_on_record_is_verified(self):
        names = [[check.name for check in evidence.verify(answer, self.trust, self.files.__getitem__)] for answer in self.answers]
        first = ["question.signed", "result.recorded", *["access.signed"] * 3]
        self.assertEqual(names, [
            ["log.checkpoint", *first], ["log.checkpoint", *first, "question.signed", "result.recorded", "result.repeats"],
        ])

    def test_what_is_not_on_record_is_found(self):
        first, again = (answer.json for answer in self.answers)
        fitted = first["result"]["regression"]
        other = {**fitted, "coefficients": [{**fitted["coefficients"][0], "estimate": 1.0}, *fitted["coefficients"][1:]]}
        access = first["accesses"]
        for change, name in (
            ({"result": {**first["result"], "regression": other}}, "result.recorded"),
            ({"resultIndex": again["resultIndex"]}, "result.recorded"),
            ({"resultIndex": first["ledgerIndex"]}, "result.recorded"),
            ({"ledgerIndex": again["ledgerIndex"]}, "question.signed"),
            ({"researcher": access[0]["node"]}, "question.signed"),
            ({"request": {**first["request"], "purpose": "another"}}, "question.signed"),
            ({"accesses": [{**access[0], "node": access[1]["node"]}]}, "access.signed"),
            ({"accesses": [{**access[0], "ledgerIndex": first["resultIndex"]}]}, "access.signed"),
        ):
            with self.subTest(change.keys()), self.assertRaises(evidence.EvidenceError) as err:
                evidence.verify(Answer({**first, **change}), self.trust, self.files.__getitem__)
            self.assertEqual(err.exception.name, name)
        with self.assertRaises(evidence.EvidenceError) as err:
            evidence.verify(Answer(first), {**self.trust, "hub": access[0]["node"]}, self.files.__getitem__)
        self.assertEqual(err.exception.name, "result.recorded")

    def test_no_other_document_passes(self):
        for path in [path for path in self.files if "documents" in path]:
            files = {**self.files, path: self.files[path].replace(b"a", b"b", 1)}
            with self.subTest(path), self.assertRaises(evidence.EvidenceError):
                for answer in self.answers:
                    evidence.verify(answer, self.trust, files.__getitem__)
