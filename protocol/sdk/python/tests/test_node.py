"""The client against a running node."""

import collections
import io
import json
import os
import unittest
import unittest.mock
import uuid
from pathlib import Path

import trialmesh

from .registrar import register
from .test_auth import rsa_jwk

URL = os.environ.get("TRIALMESH_URL")


def client(url=URL, **options):
    return trialmesh.Client(url, os.environ["TRIALMESH_TOKEN"], **options)


def lines(n):
    """A file of n lines that are no records, another one each time."""
    return io.BytesIO(b'{"resourceType":"Patient"}\n' + f"{uuid.uuid4()}\n".encode() * n)


@unittest.skipUnless(URL, "TRIALMESH_URL names no node")
class NodeTest(unittest.TestCase):
    def setUp(self):
        self.node = client()
        self.addCleanup(self.node.close)
        self.bundle = os.environ["TRIALMESH_TEST_BUNDLE"]

    def check_loaded(self, upload):
        job = self.node.wait(upload.job_id, timeout=120)
        self.assertEqual(job.file_id, upload.file_id)
        self.assertIn(job.state, ("completed", "completed with problems"))
        entries = json.loads(Path(self.bundle).read_text())["entry"]
        self.assertEqual(job.by_type, dict(collections.Counter(e["resource"]["resourceType"] for e in entries)))
        self.assertEqual(job.records, len(entries))
        self.assertGreater(job.stored, 0)

    def test_a_bundle_is_uploaded_until_it_is_stored(self):
        size, told, seen = os.path.getsize(self.bundle), [], []
        upload = self.node.upload(self.bundle, progress=lambda sent, total: told.append((sent, total)))
        self.check_loaded(upload)
        self.assertEqual(told[-1], (size, size))
        steps = [after[0] - before[0] for before, after in zip([(0, size), *told], told)]
        self.assertTrue(0 < min(steps) and max(steps) <= 256 << 10, "no more of it is in memory at once")
        self.node.wait(upload.job_id, progress=lambda job: seen.append(job.state))
        self.assertIn("complete", seen[-1])
        self.assertEqual(self.node.job_report(upload.job_id).file_id, upload.file_id)

    def test_an_upload_goes_on_after_each_broken_connection(self):
        with client(os.environ["TRIALMESH_TEST_CUT_URL"], attempts=50) as broken:  # a slow node is no failure
            self.check_loaded(broken.upload(self.bundle))

    def test_an_upload_goes_on_in_another_process(self):
        place = self.node.create_upload(self.bundle, name="other.json")
        half = client(os.environ["TRIALMESH_TEST_CUT_URL"], attempts=1)
        with half, self.assertRaises(trialmesh.NetworkError):
            half.upload(self.bundle, resume=place)
        waiting = {u.id: u for u in self.node.uploads()}
        self.assertEqual(waiting[place].name, "other.json")
        begun = []
        upload = self.node.upload(self.bundle, resume=place, progress=lambda sent, _: begun.append(sent))
        self.assertGreaterEqual(begun[0], waiting[place].offset)
        self.check_loaded(upload)
        self.assertEqual(self.node.upload(self.bundle, resume=place), upload, "one that is whole is not sent again")
        with self.assertRaises(trialmesh.FileChangedError):
            self.node.upload(io.BytesIO(b"short"), resume=place)
        self.node.drop_upload(place)
        with self.assertRaises(trialmesh.ProblemError) as refused:
            self.node.upload(self.bundle, resume=place)
        self.assertEqual(refused.exception.status, 404)

    def test_a_key_makes_a_request_the_same_one(self):
        key = f"night of \"{uuid.uuid4()}\" \\"
        content = lines(1).getvalue()
        place = self.node.create_upload(io.BytesIO(content), key=key)
        self.assertEqual(self.node.create_upload(io.BytesIO(content), key=key), place)
        with self.assertRaises(trialmesh.ProblemError) as refused:
            self.node.create_upload(io.BytesIO(content + b"\n"), key=key)
        self.assertEqual((refused.exception.status, refused.exception.kind), (422, "invalid"))
        self.node.drop_upload(place)

    def test_what_is_refused_has_a_problem(self):
        with self.assertRaises(trialmesh.ProblemError) as refused:
            self.node.upload(io.BytesIO(b""))
        problem = refused.exception
        self.assertEqual((problem.type, problem.title, problem.status), ("urn:trialmesh:problem:invalid", "the file is empty", 422))
        self.assertEqual((problem.detail, problem.errors), (None, []))
        with self.assertRaises(trialmesh.ProblemError) as refused:
            self.node.job("99999999")
        self.assertEqual(refused.exception.kind, "not-found")
        with self.assertRaises(trialmesh.ProblemError) as refused:
            list(self.node.jobs(page_size=0))
        self.assertIn("query.limit", refused.exception.detail)
        with trialmesh.Client(URL, "another-token-of-32-characters-or-more") as stranger, self.assertRaises(trialmesh.ProblemError) as refused:
            stranger.upload(self.bundle)
        self.assertEqual(refused.exception.kind, "unauthorized")

    def test_a_failure_of_the_callers_own_is_theirs(self):
        own = OSError("enough")
        with self.assertRaises(OSError) as failed:
            self.node.upload(lines(1), progress=unittest.mock.Mock(side_effect=own))
        self.assertIs(failed.exception, own)
        with self.assertRaises(FileNotFoundError):
            self.node.upload("no such file")

    def test_problems_and_jobs_come_page_by_page(self):
        upload = self.node.upload(lines(5), name="bad.ndjson")
        job = self.node.wait(upload.job_id, timeout=120)
        problems = list(self.node.problems(job.id, page_size=2))
        self.assertEqual(len(problems), 6)
        self.assertEqual([p.line for p in problems], sorted(p.line for p in problems))
        self.assertEqual({p.file for p in problems}, {"bad.ndjson"})
        ids = [job.id for job in self.node.jobs(page_size=1)]
        self.assertIn(job.id, ids)
        self.assertEqual(len(ids), len(set(ids)))
        self.assertIn(job.id, {j.id for j in self.node.jobs(state=job.state)})
        for act in (self.node.retry, self.node.cancel):  # it is over
            with self.assertRaises(trialmesh.ProblemError) as refused:
                act(job.id)
            self.assertEqual(refused.exception.kind, "conflict")

    def test_observations_are_stored_once(self):
        self.node.wait(self.node.upload(self.bundle).job_id, timeout=120)
        entries = json.loads(Path(self.bundle).read_text())["entry"]
        person = next(e["resource"]["id"] for e in entries if e["resource"]["resourceType"] == "Patient")
        pulse = trialmesh.Observation(
            person=person, system="http://loinc.org", code="8867-4", unit="/min", times=[1772352000000, 1772352060000], values=[71, 73],
        )
        key = str(uuid.uuid4())
        jobs = self.node.observe("ward-3", [pulse], key=key)
        self.assertEqual(self.node.observe("ward-3", [pulse], key=key), jobs)
        (job,) = jobs
        self.assertEqual(self.node.wait(job, timeout=120).state, "completed")
        self.assertNotIn(person, repr(pulse))
        with self.assertRaises(trialmesh.ProblemError):
            self.node.observe("ward-3", [], key=key) or self.node.observe("another", [pulse], key=key)
        self.assertIsInstance(self.node.series(code="8867-4"), list)

    def test_reference_data_of_a_version(self):
        variables = self.node.variables(page_size=7)
        versions = self.node.variable_versions()
        self.assertEqual(variables.version, versions[0].version)
        listed = list(variables)
        self.assertEqual(len(listed), variables.total)
        self.assertEqual(len({(v.system, v.code) for v in listed}), len(listed))
        (pressure,) = self.node.variables(system="http://loinc.org", code="8480-6", version=versions[-1].version)
        self.assertEqual(pressure.unit, "mm[Hg]")
        units = self.node.units(page_size=100)
        self.assertEqual(len(list(units)), len(units))
        (unit,) = self.node.units(code="m[Hg]")
        self.assertFalse(unit.base)
        self.assertEqual((self.node.codes().version, list(self.node.codes()), self.node.code_versions()), (0, [], []))
        self.assertEqual(list(self.node.codes()), [])
        self.assertIsInstance(list(self.node.unmapped_codes(page_size=3)), list)
        with self.assertRaises(trialmesh.ProblemError):
            self.node.variables(version=999)

    def test_how_the_node_stands(self):
        self.assertIn("did:key:", self.node.status().did)
        made = self.node.run_quality()
        self.assertEqual(self.node.quality(), made)
        self.assertTrue(made.checks)

    def test_a_registered_client_does_what_it_may(self):
        for key in (trialmesh.new_key(), rsa_jwk()):
            name = f"test-{uuid.uuid4()}"
            auth = trialmesh.BackendService(name, key, "ingest jobs.read")
            with trialmesh.Client(URL, auth) as own:
                with self.assertRaises(trialmesh.OAuthError) as unknown:
                    own.uploads()
                self.assertEqual((unknown.exception.status, unknown.exception.title), (400, "invalid_client"))
                register(name, trialmesh.public_keys(key))
                self.check_loaded(own.upload(self.bundle))
                auth._token = "forgotten-by-the-node"
                self.check_loaded(own.upload(self.bundle))
                with self.assertRaises(trialmesh.ProblemError) as refused:
                    own.status()
                self.assertEqual((refused.exception.kind, refused.exception.scope), ("forbidden", "status"))

    def test_an_own_certificate_authority(self):
        secure, ca = os.environ["TRIALMESH_TEST_TLS_URL"], os.environ["TRIALMESH_TEST_CA"]
        with client(secure, ca=ca) as node:
            self.assertEqual(node.status().did, self.node.status().did)
            self.check_loaded(node.upload(self.bundle))
        with client(secure) as node, self.assertRaisesRegex(trialmesh.NetworkError, "not trusted.* ca="):
            node._caller.sleep = self.fail
            node.status()


if __name__ == "__main__":
    unittest.main()
