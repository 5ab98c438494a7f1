// Tokens by SMART Backend Services, from a small authorization server.

import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { BackendService, Client, newKey, OAuthError, type PrivateJWK, ProblemError, publicKeys, TrialmeshError } from "../src/index.js";
import { type Answer, type Asked, serving } from "./stub.js";

const EC = await newKey();
const RSA = { ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid: "k2" } as PrivateJWK;
const backend = (key = EC) => new BackendService({ clientId: "site-loader", key, scope: "system/*.rs" });

/** A node that takes the tokens that its own authorization server gave last. */
class Server {
  given: string[] = [];
  form = new URLSearchParams();
  refusal?: Answer;

  constructor(readonly expiresIn = 300) {}

  readonly answer = ({ method, path, headers, body }: Asked): Answer => {
    if (path === "/fhir/.well-known/smart-configuration") {
      return [200, {}, JSON.stringify({ token_endpoint: `http://${headers.host}/token` })];
    }
    if (path === "/token") {
      if (this.refusal !== undefined) return this.refusal;
      this.form = new URLSearchParams(body);
      this.given.push(`token-${this.given.length}`);
      return [200, {}, JSON.stringify({ access_token: this.given.at(-1), expires_in: this.expiresIn })];
    }
    if (method === "PATCH" && this.given.length === 1) this.given.push("another"); // as if the token had ended just now
    if (headers.authorization !== `Bearer ${this.given.at(-1)}`) return [401, {}, "{}"];
    if (path.startsWith("/v1/ingest/uploads/")) {
      const loaded = method === "PATCH" && { "Trialmesh-File": "00", "Trialmesh-Job": "7" };
      return [200, { "Upload-Offset": "0", "Upload-Length": "5", ...loaded }, ""];
    }
    return [200, { "Content-Type": "application/json" }, '{"series":[]}'];
  };
}

test("the assertion says who asks", async (t) => {
  for (const [key, alg] of [[EC, "ES384"], [RSA, "RS384"]] as const) {
    const server = new Server();
    const { url } = await serving(t, server.answer);
    assert.deepEqual(await new Client(url, backend(key)).series(), []);
    const [header = "", claims = "", signature = ""] = (server.form.get("client_assertion") ?? "").split(".");
    const [half] = publicKeys(key).keys;
    const publicKey = createPublicKey({ key: half as never, format: "jwk" });
    const signed = Buffer.from(`${header}.${claims}`);
    assert.ok(verify("sha384", signed, { key: publicKey, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
    const decoded = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
    assert.deepEqual(decoded(header), { alg, kid: key.kid, typ: "JWT" });
    const { iss, sub, aud, iat, exp, jti } = decoded(claims);
    assert.deepEqual([iss, sub, aud], ["site-loader", "site-loader", `${url}/token`]);
    assert.ok(jti && exp > iat && exp - iat <= 300);
    assert.equal(server.form.get("grant_type"), "client_credentials");
    assert.equal(server.form.get("scope"), "system/*.rs");
  }
});

test("a token is kept and renewed before it ends", async (t) => {
  const server = new Server(300);
  const { url } = await serving(t, server.answer);
  const clock = t.mock.method(performance, "now");
  const node = new Client(url, backend());
  for (const [now, tokens] of [[1_000_000, 1], [1_269_000, 1], [1_271_000, 2], [1_500_000, 2]] as const) {
    clock.mock.mockImplementation(() => now);
    await node.series();
    assert.equal(server.given.length, tokens, String(now));
  }
});

test("requests at once share a token", async (t) => {
  const server = new Server();
  const { url } = await serving(t, server.answer);
  const node = new Client(url, backend());
  await Promise.all([node.series(), node.series(), node.series()]);
  assert.equal(server.given.length, 1);
});

test("a token that is refused is renewed once", async (t) => {
  const server = new Server();
  const { url } = await serving(t, server.answer);
  const node = new Client(url, backend());
  await node.series();
  server.given.push("another"); // as if the node had forgotten it
  await node.series();
  assert.equal(server.given.at(-1), "token-2");
  const refusing = await serving(t, (asked) => (asked.path === "/v1/series" ? [401, {}, "{}"] : server.answer(asked)));
  await assert.rejects(new Client(refusing.url, backend()).series(), ProblemError);
  assert.equal(refusing.asked.filter((a) => a.path === "/v1/series").length, 2);
});

test("a token may end while a file is sent", async (t) => {
  const { url, asked } = await serving(t, new Server().answer);
  assert.equal((await new Client(url, backend()).upload(new Blob(["hello"]), { resume: "u" })).jobId, "7");
  const methods = asked.filter((a) => a.path.includes("uploads")).map((a) => a.method);
  assert.deepEqual(methods, ["HEAD", "PATCH", "HEAD", "HEAD", "PATCH"]);
  assert.equal(asked.at(-1)?.body, "hello");
});

test("who gets no token hears why", async (t) => {
  const server = new Server();
  server.refusal = [400, {}, '{"error":"invalid_scope","error_description":"no such scope"}'];
  const { url } = await serving(t, server.answer);
  const node = new Client(url, backend());
  await assert.rejects(node.series(), { name: OAuthError.name, title: "invalid_scope", detail: "no such scope" });
  delete server.refusal;
  assert.deepEqual(await node.series(), [], "the next request asks again");
});

test("of an endpoint that is not reached is said who names it", async (t) => {
  const { url, asked } = await serving(t, [200, {}, '{"token_endpoint":"https://node.invalid/token"}']);
  const here = globalThis.fetch;
  t.mock.method(globalThis, "fetch", (to: string, init: RequestInit) =>
    to.startsWith(url) ? here(to, init) : Promise.reject(Object.assign(new Error(), { code: "ENOTFOUND" })),
  );
  const node = new Client(url, backend());
  await assert.rejects(node.series(), { name: "NetworkError", message: /host of https:\/\/node\.invalid is not known.* setting url gives it$/ });
  assert.equal(asked.length, 2);
});

test("an assertion goes to no plain address", async (t) => {
  for (const token_endpoint of ["http://elsewhere.example/token", "", null]) {
    const { url, asked } = await serving(t, [200, {}, JSON.stringify({ token_endpoint })]);
    await assert.rejects(new Client(url, backend()).series(), TrialmeshError);
    assert.equal(asked.length, 1);
  }
});

test("of a key the public half goes to the node", async () => {
  const [half] = publicKeys({ ...EC, alg: "ES384" }).keys;
  assert.deepEqual(half, { kid: EC.kid, crv: "P-384", kty: "EC", x: EC.x, y: EC.y });
  assert.deepEqual(Object.keys(publicKeys(RSA).keys[0] ?? {}).sort(), ["e", "kid", "kty", "n"]);
  assert.notEqual((await newKey()).kid, EC.kid);
});

test("a key that cannot sign is refused and not shown", async (t) => {
  const secret = EC.d ?? "";
  const silent = (err: unknown) => !inspect(err, { depth: 9 }).includes(secret);
  assert.ok(!inspect(backend(), { showHidden: true, depth: 9 }).includes(secret));
  for (const broken of [{}, { kty: "oct", k: secret }, { ...EC, crv: "P-256" }, { ...EC, kid: "" }, { ...RSA, qi: undefined, d: secret }]) {
    assert.throws(() => backend(broken as PrivateJWK), silent);
  }
  const { url } = await serving(t, new Server().answer);
  await assert.rejects(new Client(url, backend({ ...EC, x: secret })).series(), silent);
});
