// The examples of README.md and of the documentation, as test.mjs has compiled them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { register } from "./registrar.js";

test("examples run as printed", { skip: !process.env.TRIALMESH_URL && "TRIALMESH_URL names no node" }, async (t) => {
  const compiled = fileURLToPath(new URL("../examples/", import.meta.url));
  const examples = (await readdir(compiled)).filter((name) => name.endsWith(".js"));
  assert.ok(examples.length > 3);
  const cwd = await mkdtemp(join(tmpdir(), "examples-"));
  t.after(() => rm(cwd, { recursive: true }));
  await writeFile(join(cwd, "patients.ndjson"), '{"resourceType":"Patient","id":"p-17"}\n{"resourceType":"Patient"}\n');
  for (const example of examples) {
    const { stdout } = await promisify(execFile)(process.execPath, [join(compiled, example)], { cwd });
    assert.notEqual(stdout, "", example);
    for (const keys of (await readdir(cwd)).filter((name) => name.endsWith(".jwks.json"))) {
      await register(keys.replace(".jwks.json", ""), JSON.parse(await readFile(join(cwd, keys), "utf8")));
      await rm(join(cwd, keys));
    }
  }
});
