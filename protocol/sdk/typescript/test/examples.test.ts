// The examples of README.md and of the documentation, as test.mjs has compiled them.

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { register } from "./registrar.js";

test("examples run as printed", { skip: !process.env.TRIALMESH_URL && "TRIALMESH_URL names no node" }, async (t) => {
  const compiled = fileURLToPath(new URL("../examples/", import.meta.url));
  const examples = (await readdir(compiled)).filter((name) => name.endsWith(".js"));
  assert.ok(examples.length > 3);
  const cwd = await mkdtemp(join(tmpdir(), "examples-"));
  t.after(() => rm(cwd, { recursive: true }));
  await writeFile(join(cwd, "patients.ndjson"), '{"resourceType":"Patient","id":"p-17"}\n{"resourceType":"Patient"}\n');
  const before = process.cwd();
  process.chdir(cwd);
  t.after(() => process.chdir(before));
  const { mock: said } = t.mock.method(console, "log", () => {});
  for (const example of examples) {
    await import(join(compiled, example));
    assert.ok(said.callCount() > 0, `${example} says nothing`);
    said.resetCalls();
    for (const keys of (await readdir(cwd)).filter((name) => name.endsWith(".jwks.json"))) {
      await register(keys.replace(".jwks.json", ""), JSON.parse(await readFile(join(cwd, keys), "utf8")));
      await rm(join(cwd, keys));
    }
  }
});
