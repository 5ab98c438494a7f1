import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { pause, quoted } from "../src/caller.js";
import { Client, NetworkError, ProblemError, TrialmeshError, WaitTimeoutError } from "../src/index.js";
import { type Answer, serving } from "./stub.js";

const SERIES: Answer = [200, { "Content-Type": "application/json" }, '{"series":[]}'];
const ACCEPTED: Answer = [202, { "Content-Type": "application/json" }, '{"jobId":"7"}'];
const BUSY: Answer = [503, { "Retry-After": "0" }, ""];

test("what passes is tried again", async (t) => {
  for (const passing of [BUSY, [429, { "Retry-After": "0" }, "{}"], [504, { "Retry-After": "0" }, "<html>"], null] as (Answer | null)[]) {
    const { url, asked } = await serving(t, passing, SERIES);
    assert.deepEqual(await new Client(url, "secret").series(), []);
    assert.equal(asked.length, 2);
    assert.equal(asked[1]?.headers["user-agent"], "trialmesh-typescript/0.1.0");
    assert.equal(asked[1]?.headers.authorization, "Bearer secret");
  }
});

test("an act without a key is not repeated when nobody knows what became of it", async (t) => {
  const hung = await serving(t, null);
  await assert.rejects(new Client(hung.url, "secret").retry("7"), NetworkError);
  assert.equal(hung.asked.length, 1);
  const busy = await serving(t, BUSY, [409, {}, "{}"]);
  await assert.rejects(new Client(busy.url, "secret").retry("7"), { status: 409, title: "Conflict" });
  assert.equal(busy.asked.length, 2, "one that was refused for now was not done");
});

test("an act with a key is repeated with the same key and body", async (t) => {
  const { url, asked } = await serving(t, null, [409, { "Retry-After": "0" }, "{}"], ACCEPTED);
  const made = await new Client(url, "secret").observe("ward-3", [{ person: "p", code: "8867-4", time: "2026-03-01T08:00:00Z", value: 71 }]);
  assert.deepEqual(made, ["7"]);
  assert.equal(asked.length, 3);
  assert.equal(new Set(asked.map((a) => `${a.headers["idempotency-key"]} ${a.body}`)).size, 1);
});

test("a client gives up", async (t) => {
  const { url, asked } = await serving(t, BUSY);
  await assert.rejects(new Client(url, "secret", { attempts: 3 }).status(), { status: 503 });
  assert.equal(asked.length, 3);
  const later = await serving(t, [503, { "Retry-After": "3600" }, "{}"]);
  await assert.rejects(new Client(later.url, "secret").status(), { retryAfter: 3_600_000 });
  assert.equal(later.asked.length, 1, "an hour is not waited");
});

test("observations are sent in batches, each with a key of its own", async (t) => {
  const { url, asked } = await serving(t, ACCEPTED);
  const one = { person: "p", code: "8867-4".repeat(1 << 20), time: "2026-03-01T08:00:00Z", value: 71 };
  assert.deepEqual(await new Client(url, "secret").observe("ward-3", [one, one], { key: "night" }), ["7", "7"]);
  assert.deepEqual(
    asked.map((a) => a.headers["idempotency-key"]),
    ['"night/0"', '"night/1"'],
  );
  assert.deepEqual(JSON.parse(asked[1]?.body ?? ""), { source: "ward-3", observations: [one] });
});

test("a job is retried and cancelled", async (t) => {
  const { url, asked } = await serving(t, [200, { "Content-Type": "application/json" }, '{"id":"7"}']);
  const node = new Client(url, "secret");
  assert.deepEqual([(await node.retry("7")).id, (await node.cancel("7/8")).id], ["7", "7"]);
  assert.deepEqual(
    asked.map((a) => `${a.method} ${a.path}`),
    ["POST /v1/ingest/jobs/7/retry", "POST /v1/ingest/jobs/7%2F8/cancel"],
  );
});

test("a job is waited for until it is over or the time is", async (t) => {
  const job = (state: string): Answer => [200, {}, JSON.stringify({ id: "7", state })];
  const node = new Client((await serving(t, job("running"), job("running"), job("completed"))).url, "secret");
  const seen: string[] = [];
  assert.equal((await node.wait("7", { timeout: 60_000, progress: ({ state }) => seen.push(state) })).id, "7");
  assert.deepEqual(seen, ["running", "running", "completed"]);
  const slow = new Client((await serving(t, job("running"))).url, "secret");
  await assert.rejects(slow.wait("7", { timeout: 0 }), (err) => err instanceof WaitTimeoutError && err.job.id === "7");
});

test("pauses grow, differ and end at ten seconds", () => {
  for (let failures = 1; failures < 40; failures++) {
    const least = Math.min(10_000, 125 * 2 ** failures) / 2;
    const given = pause(failures);
    assert.ok(given >= least && given <= 2 * least, `${failures}: ${given}`);
  }
  assert.ok(pause(1, 7000) >= 7000);
});

test("a refusal has what its document says", async (t) => {
  const document = { type: "urn:trialmesh:problem:refused", title: "no", detail: "body.x", rule: "a.rule", errors: [{ detail: "x" }] };
  const { url } = await serving(t, [403, { "WWW-Authenticate": 'Bearer error="insufficient_scope", scope="status"' }, JSON.stringify(document)], [500, {}, "<html>"]);
  const node = new Client(url, "secret");
  await assert.rejects(node.status(), { ...document, kind: "refused", status: 403, scope: "status", message: "no: body.x (status 403)" });
  await assert.rejects(node.status(), { type: "about:blank", title: "Internal Server Error", errors: [], scope: undefined });
});

test("what another try hardly helps is tried once or twice", async (t) => {
  for (const [code, times, says] of [
    ["ENOTFOUND", 2, /host of https:\/\/node\.invalid is not known here/],
    ["SELF_SIGNED_CERT_IN_CHAIN", 1, /certificate of https:\/\/node\.invalid is not trusted/],
  ] as const) {
    const { mock: asked } = t.mock.method(globalThis, "fetch", () => Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(), { code }) })));
    await assert.rejects(new Client("https://node.invalid", "secret").status(), { name: "NetworkError", message: says });
    assert.equal(asked.callCount(), times, code);
    asked.restore();
  }
});

test("what is no node is said to be none", async (t) => {
  const { url } = await serving(t, [200, {}, "<html>"], [301, { Location: "https://elsewhere.example" }, ""]);
  await assert.rejects(new Client(url, "secret").status(), TrialmeshError);
  await assert.rejects(new Client(url, "secret").status(), ProblemError);
});

test("no secret is shown", async () => {
  const node = new Client("http://127.0.0.1:9", "secret", { attempts: 1 });
  assert.doesNotMatch(inspect(node, { showHidden: true, depth: 9 }) + JSON.stringify(node), /secret/);
  await assert.rejects(node.status(), (err) => err instanceof NetworkError && !/secret/.test(inspect(err, { depth: 9 })));
  for (const token of ["two words of a secret", "secret\nsecret", ""]) {
    assert.throws(() => new Client("http://127.0.0.1:9", token), (err) => !/secret/.test(inspect(err)));
  }
});

test("a token stays on this machine or goes over TLS", () => {
  for (const url of ["http://node.example", "https://user:pw@node.example", "ftp://127.0.0.1", "node.example", "https://node.example/?a=b"]) {
    assert.throws(() => new Client(url, "secret"), TypeError, url);
  }
  new Client("https://node.example/behind/", "secret");
});

test("a key is quoted as its header wants it", () => {
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"');
  for (const key of ["", "é", "a\nb", "a".repeat(256)]) assert.throws(() => quoted(key), TypeError);
});
