// The client against a running node.

import assert from "node:assert/strict";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { rootCertificates } from "node:tls";
import { BackendService, Client, FileChangedError, type Listing, NetworkError, newKey, ProblemError, publicKeys, type Upload } from "../src/index.js";
import { register } from "./registrar.js";

const { TRIALMESH_URL: URL = "", TRIALMESH_TOKEN: TOKEN = "", ...env } = process.env;
const options = { skip: URL === "" && "TRIALMESH_URL names no node" };
const given = (name: string) => env[`TRIALMESH_TEST_${name}`] ?? "";
const BUNDLE = given("BUNDLE");
const node = URL === "" ? (undefined as never) : new Client(URL, TOKEN);

/** A file of n lines that are no records, another one each time. */
const lines = (n: number) => new Blob(['{"resourceType":"Patient"}\n', ...Array.from({ length: n }, () => `${crypto.randomUUID()}\n`)]);

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

async function resources(): Promise<{ resourceType: string; id: string }[]> {
  const { entry } = JSON.parse(await readFile(BUNDLE, "utf8")) as { entry: { resource: { resourceType: string; id: string } }[] };
  return entry.map((e) => e.resource);
}

async function checkLoaded(upload: Upload): Promise<void> {
  const job = await node.wait(upload.jobId, { timeout: 120_000 });
  assert.equal(job.fileId, upload.fileId);
  assert.match(job.state, /^completed/);
  const want: Record<string, number> = {};
  for (const { resourceType } of await resources()) want[resourceType] = (want[resourceType] ?? 0) + 1;
  assert.deepEqual({ ...job.byType }, want);
  assert.ok(job.stored > 0);
}

test("a bundle is uploaded until it is stored", options, async () => {
  const told: number[][] = [];
  const seen: string[] = [];
  const upload = await node.upload(BUNDLE, { progress: (...sent) => told.push(sent) });
  await checkLoaded(upload);
  const { size } = await stat(BUNDLE);
  assert.deepEqual(told.at(-1), [size, size]);
  const steps = told.map(([sent = 0], i) => sent - (told[i - 1]?.[0] ?? 0));
  assert.ok(Math.min(...steps) > 0 && Math.max(...steps) <= 256 << 10, "no more of it is in memory at once");
  await node.wait(upload.jobId, { progress: (job) => seen.push(job.state) });
  assert.match(seen.at(-1) ?? "", /^completed/);
  assert.equal((await node.jobReport(upload.jobId)).fileId, upload.fileId);
});

test("an upload goes on after each broken connection", options, async () => {
  const broken = new Client(given("CUT_URL"), TOKEN, { attempts: 50 }); // a slow node is no failure
  await checkLoaded(await broken.upload(BUNDLE));
});

test("an upload goes on in another process", options, async () => {
  const place = await node.createUpload(BUNDLE, { name: "other.json" });
  await assert.rejects(new Client(given("CUT_URL"), TOKEN, { attempts: 1 }).upload(BUNDLE, { resume: place }), NetworkError);
  const waiting = (await node.uploads()).find((u) => u.id === place);
  assert.equal(waiting?.name, "other.json");
  const begun: number[] = [];
  const upload = await node.upload(BUNDLE, { resume: place, progress: (sent) => begun.push(sent) });
  assert.ok((begun[0] ?? 0) >= waiting.offset);
  await checkLoaded(upload);
  assert.deepEqual(await node.upload(BUNDLE, { resume: place }), upload, "one that is whole is not sent again");
  await assert.rejects(node.upload(new Blob(["short"]), { resume: place }), FileChangedError);
  await node.dropUpload(place);
  await assert.rejects(node.upload(BUNDLE, { resume: place }), { status: 404 });
});

test("a key makes a request the same one", options, async () => {
  const key = `night of "${crypto.randomUUID()}" \\`;
  const content = lines(1);
  const place = await node.createUpload(content, { key });
  assert.equal(await node.createUpload(content, { key }), place);
  await assert.rejects(node.createUpload(new Blob([content, "\n"]), { key }), { status: 422, kind: "invalid" });
  await node.dropUpload(place);
});

test("what is refused has a problem", options, async () => {
  await assert.rejects(node.upload(new Blob([])), {
    type: "urn:trialmesh:problem:invalid",
    title: "the file is empty",
    status: 422,
    errors: [],
  });
  await assert.rejects(node.job("99999999"), { kind: "not-found" });
  await assert.rejects(all(node.jobs({ pageSize: 0 })), (err) => err instanceof ProblemError && /query\.limit/.test(err.detail ?? ""));
  const stranger = new Client(URL, "another-token-of-32-characters-or-more");
  await assert.rejects(stranger.upload(BUNDLE), { kind: "unauthorized" });
});

test("a failure of the caller's own is theirs", options, async () => {
  const own = new Error("enough");
  const stop = () => {
    throw own;
  };
  await assert.rejects(node.upload(lines(1), { progress: stop }), own);
  await assert.rejects(node.upload("no such file"), { code: "ENOENT" });
});

test("problems and jobs come page by page", options, async () => {
  const { jobId } = await node.upload(lines(5), { name: "bad.ndjson" });
  const job = await node.wait(jobId, { timeout: 120_000 });
  const problems = await all(node.problems(job.id, { pageSize: 2 }));
  assert.equal(problems.length, 6);
  assert.deepEqual([...new Set(problems.map((p) => p.file))], ["bad.ndjson"]);
  const ids = (await all(node.jobs({ pageSize: 1 }))).map((j) => j.id);
  assert.ok(ids.includes(job.id));
  assert.equal(new Set(ids).size, ids.length);
  assert.ok((await all(node.jobs({ state: job.state }))).some((j) => j.id === job.id));
  await assert.rejects(node.retry(job.id), { kind: "conflict" });
  await assert.rejects(node.cancel(job.id), { kind: "conflict" });
});

test("observations are stored once", options, async () => {
  await node.wait((await node.upload(BUNDLE)).jobId, { timeout: 120_000 });
  const person = (await resources()).find((r) => r.resourceType === "Patient")?.id ?? "";
  const pulse = { person, system: "http://loinc.org", code: "8867-4", unit: "/min", times: [1772352000000, 1772352060000], values: [71, 73] };
  const key = crypto.randomUUID();
  const jobs = await node.observe("ward-3", [pulse], { key });
  assert.deepEqual(await node.observe("ward-3", [pulse], { key }), jobs);
  assert.equal(jobs.length, 1);
  assert.equal((await node.wait(jobs[0] ?? "", { timeout: 120_000 })).state, "completed");
  await assert.rejects(node.observe("another", [pulse], { key }), { status: 422 });
  assert.ok(Array.isArray(await node.series({ code: "8867-4" })));
});

test("reference data of a version", options, async () => {
  const variables = await node.variables({ pageSize: 7 });
  const versions = await node.variableVersions();
  assert.equal(variables.version, versions[0]?.version);
  const listed = await all(variables);
  assert.equal(listed.length, variables.total);
  assert.equal(new Set(listed.map((v) => `${v.system} ${v.code}`)).size, listed.length);
  const [pressure] = await all(await node.variables({ system: "http://loinc.org", code: "8480-6", version: versions.at(-1)?.version }));
  assert.equal(pressure?.unit, "mm[Hg]");
  const counted = async <T, V>(list: Listing<T, V>) => assert.equal((await all(list)).length, list.total);
  await counted(await node.units({ pageSize: 100 }));
  assert.equal((await all(await node.units({ code: "m[Hg]" })))[0]?.base, false);
  const codes = await node.codes();
  assert.deepEqual([codes.version, codes.total, await all(codes), await node.codeVersions()], [0, 0, [], []]);
  await all(node.unmappedCodes({ pageSize: 3 }));
  await assert.rejects(node.variables({ version: 999 }), ProblemError);
});

test("how the node stands", options, async () => {
  assert.match((await node.status()).did, /^did:key:/);
  const made = await node.runQuality();
  assert.deepEqual(await node.quality(), made);
  assert.ok(made.checks.length > 0);
});

test("a registered client does what it may", options, async () => {
  const key = await newKey();
  const clientId = `test-${crypto.randomUUID()}`;
  const own = new Client(URL, new BackendService({ clientId, key, scope: "ingest jobs.read" }));
  await assert.rejects(own.uploads(), { name: "OAuthError", status: 400, title: "invalid_client" });
  await register(clientId, publicKeys(key));
  await checkLoaded(await own.upload(BUNDLE));
  await assert.rejects(own.status(), { kind: "forbidden", scope: "status" });
});

test("an own certificate authority", options, async (t) => {
  const secure = new Client(given("TLS_URL"), TOKEN, { ca: given("CA") });
  assert.equal((await secure.status()).did, (await node.status()).did);
  await checkLoaded(await secure.upload(BUNDLE));
  await assert.rejects(secure.job("99999999"), { kind: "not-found" });
  const other = join(tmpdir(), `${crypto.randomUUID()}.pem`);
  await writeFile(other, rootCertificates[0] ?? "");
  t.after(() => rm(other));
  for (const options of [{}, { ca: other }]) {
    await assert.rejects(new Client(given("TLS_URL"), TOKEN, options).status(), { name: "NetworkError", attempts: 1, message: /not trusted.* option ca$/ });
  }
});
