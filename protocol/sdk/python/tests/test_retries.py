"""What is tried again, and what a refusal says."""

import json
import socket
import threading
import unittest
from unittest import mock

import trialmesh
from trialmesh.caller import pause, quoted
from trialmesh.errors import ProblemError

from .stub import serving

SERIES = (200, {}, b'{"series":[]}')
ACCEPTED = (202, {}, b'{"jobId":"7"}')
BUSY = (503, {"Retry-After": "0"}, b"")
JOB = {
    "id": "7", "fileId": "00", "name": "a", "state": "running", "attempt": 1, "bytesTotal": 1, "bytesRead": 0, "records": 0, "stored": 0,
    "replaced": 0, "duplicates": 0, "removed": 0, "rejected": 0, "unmapped": 0, "byType": {}, "unmappedBy": {}, "findings": {},
    "accepted": "2026-03-01T08:00:00.123456789Z", "problems": [], "brought by a newer node": 1,
}


def client(url, **options):
    node = trialmesh.Client(url, "secret", **options)
    node._caller.sleep = lambda _: None
    return node


class RetriesTest(unittest.TestCase):
    def test_what_passes_is_tried_again(self):
        for passing in (BUSY, (429, {"Retry-After": "0"}, b"{}"), (504, {}, b"<html>"), None):
            with self.subTest(passing), serving(passing, SERIES) as (url, asked), client(url) as node:
                self.assertEqual(node.series(), [])
                self.assertEqual(len(asked), 2)
                self.assertEqual(asked[1][2]["User-Agent"], "trialmesh-python/0.1.0")
                self.assertEqual(asked[1][2]["Authorization"], "Bearer secret")

    def test_an_act_without_a_key_is_not_repeated_when_nobody_knows_what_became_of_it(self):
        with serving(None) as (url, asked), client(url) as node:
            with self.assertRaises(trialmesh.NetworkError):
                node.retry("7")
            self.assertEqual(len(asked), 1)
        with serving(BUSY, (409, {}, b"{}")) as (url, asked), client(url) as node:
            with self.assertRaises(ProblemError) as refused:
                node.retry("7")
            self.assertEqual((refused.exception.status, refused.exception.title), (409, "Conflict"))
            self.assertEqual(len(asked), 2, "one that was refused for now was not done")

    def test_an_act_with_a_key_is_repeated_with_the_same_key_and_body(self):
        one = trialmesh.Observation(person="p", code="8867-4", time="2026-03-01T08:00:00Z", value=71)
        with serving(None, (409, {}, b"{}"), ACCEPTED) as (url, asked), client(url) as node:
            self.assertEqual(node.observe("ward-3", [one]), ["7"])
            self.assertEqual(len(asked), 3)
            self.assertEqual(len({(headers["Idempotency-Key"], body) for _, _, headers, body in asked}), 1)

    def test_a_client_gives_up(self):
        with serving(BUSY) as (url, asked), client(url, attempts=3) as node:
            with self.assertRaises(ProblemError) as refused:
                node.status()
            self.assertEqual((refused.exception.status, len(asked)), (503, 3))
        with serving((503, {"Retry-After": "3600"}, b"{}")) as (url, asked), client(url) as node:
            with self.assertRaises(ProblemError) as refused:
                node.status()
            self.assertEqual((refused.exception.retry_after, len(asked)), (3600, 1), "an hour is not waited")

    def test_a_connection_that_was_closed_while_idle_is_not_used(self):
        with serving((200, {"Connection": "close"}, SERIES[2]), SERIES) as (url, _), client(url, attempts=1) as node:
            for _ in range(3):
                self.assertEqual(node.series(), [])

    def test_threads_share_a_client(self):
        with serving(SERIES) as (url, asked), client(url) as node:
            threads = [threading.Thread(target=node.series) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(len(asked), 8)

    def test_observations_are_sent_in_batches_each_with_a_key_of_its_own(self):
        one = trialmesh.Observation(person="p", code="8867-4" * (1 << 20), time="2026-03-01T08:00:00Z", value=71)
        with serving(ACCEPTED) as (url, asked), client(url) as node:
            self.assertEqual(node.observe("ward-3", (o for o in [one, one]), key="night"), ["7", "7"])
        self.assertEqual([headers["Idempotency-Key"] for _, _, headers, _ in asked], ['"night/0"', '"night/1"'])
        sent = {"person": "p", "code": one.code, "time": one.time, "value": 71}
        self.assertEqual(json.loads(asked[1][3]), {"source": "ward-3", "observations": [sent]})

    def test_a_job_is_waited_for_until_it_is_over_or_the_time_is(self):
        running, done = (200, {}, json.dumps(JOB).encode()), (200, {}, json.dumps(JOB | {"state": "completed"}).encode())
        with serving(running, running, done) as (url, _), client(url) as node:
            seen = []
            self.assertEqual(node.wait("7", timeout=60, progress=lambda job: seen.append(job.state)).accepted.microsecond, 123456)
            self.assertEqual(seen, ["running", "running", "completed"])
        with serving(running) as (url, _), client(url) as node, self.assertRaises(trialmesh.WaitTimeoutError) as late:
            node.wait("7", timeout=0)
        self.assertEqual(late.exception.job.id, "7")

    def test_a_job_is_retried_and_cancelled(self):
        with serving((200, {}, json.dumps(JOB).encode())) as (url, asked), client(url) as node:
            self.assertEqual([node.retry("7").id, node.cancel("7/8").id], ["7", "7"])
        self.assertEqual([a[:2] for a in asked], [("POST", "/v1/ingest/jobs/7/retry"), ("POST", "/v1/ingest/jobs/7%2F8/cancel")])

    def test_pauses_grow_differ_and_end_at_ten_seconds(self):
        for failures in range(1, 40):
            most = min(10.0, 0.125 * 2**failures)
            self.assertTrue(most / 2 <= pause(failures, None) <= most)
        self.assertGreaterEqual(pause(1, 7), 7)

    def test_a_refusal_has_what_its_document_says(self):
        document = {"type": "urn:trialmesh:problem:refused", "title": "no", "detail": "body.x", "rule": "a.rule", "errors": [{"detail": "x"}]}
        with serving((403, {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="status"'}, json.dumps(document).encode()), (500, {}, b"<html>")) as (url, _), client(url) as node:
            with self.assertRaises(ProblemError) as refused:
                node.status()
            problem = refused.exception
            self.assertEqual({name: getattr(problem, name) for name in document}, document)
            self.assertEqual((problem.kind, problem.status, problem.scope, str(problem)), ("refused", 403, "status", "no: body.x (status 403, rule a.rule)"))
            with self.assertRaises(ProblemError) as refused:
                node.status()
            self.assertEqual((refused.exception.type, refused.exception.title, refused.exception.scope), ("about:blank", "Internal Server Error", None))

    def test_a_host_that_nobody_knows_is_asked_for_once_more(self):
        unknown = mock.Mock(side_effect=socket.gaierror(socket.EAI_NONAME, "no such name"))
        with client("https://node.invalid") as node, mock.patch("socket.getaddrinfo", unknown):
            with self.assertRaisesRegex(trialmesh.NetworkError, "host of https://node.invalid is not known here") as unreached:
                node.status()
        self.assertNotIn("setting url", str(unreached.exception))
        self.assertEqual(unknown.call_count, 2)

    def test_what_is_no_node_is_said_to_be_none(self):
        for answer in ((200, {}, b"<html>"), (200, {}, b"{}"), (200, {}, b'{"series":[1]}'), (301, {"Location": "https://elsewhere.example"}, b"")):
            with self.subTest(answer), serving(answer) as (url, _), client(url) as node, self.assertRaises(trialmesh.TrialmeshError):
                node.series()

    def test_no_secret_is_shown(self):
        node = trialmesh.Client("http://127.0.0.1:9", "secret", attempts=1)
        self.assertNotIn("secret", repr(node))
        with self.assertRaises(trialmesh.NetworkError) as unreached:
            node.status()
        self.assertNotIn("secret", repr(unreached.exception) + str(unreached.exception) + repr(unreached.exception.__cause__))
        for token in ("two words of a secret", "secret\nsecret", ""):
            with self.assertRaises(ValueError) as refused:
                trialmesh.Client("http://127.0.0.1:9", token)
            self.assertNotIn("secret", str(refused.exception))

    def test_a_token_stays_on_this_machine_or_goes_over_tls(self):
        for url in ("http://node.example", "https://user:pw@node.example", "ftp://127.0.0.1", "node.example", "https://node.example/?a=b"):
            with self.subTest(url), self.assertRaises(ValueError):
                trialmesh.Client(url, "secret")
        trialmesh.Client("https://node.example/behind/", "secret")

    def test_a_key_is_quoted_as_its_header_wants_it(self):
        self.assertEqual(quoted('a"b\\c'), '"a\\"b\\\\c"')
        for key in ("", "é", "a\nb", "a" * 256):
            with self.subTest(key), self.assertRaises(ValueError):
                quoted(key)
