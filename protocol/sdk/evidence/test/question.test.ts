import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Fields } from "../src/canonical.js";
import { list } from "../src/canonical.js";
import { verifyQuestion, type Report } from "../src/index.js";
import { files, Told, trust } from "./told.js";

// snarkjs keeps its threads.
after(() => (globalThis as { curve_bn128?: { terminate(): Promise<void> } }).curve_bn128?.terminate());

const failures = (report: Report): string[] => [...new Set(report.failed.map(({ name }) => name))].sort();

test("evidence that Go exported verifies, each proof by snarkjs from recomputed inputs", async () => {
  const report = await verifyQuestion(await files(), await trust());
  assert.deepEqual(report.failed, []);
  const passed = (name: string): number => report.checks.filter((check) => check.name === name && check.ok).length;
  assert.equal(passed("epoch.proof"), 3);
  assert.equal(passed("access.proof"), 3);
  assert.deepEqual(report.checks.filter(({ skipped }) => skipped).map(({ name }) => name), ["access.scopes"]);
});

test("proofs of figures are not checked, and that is said", async () => {
  const told = await Told.read();
  told.entries.push({ ...access(told, 0), kind: 17, at: told.entries.at(-1)?.["at"] as string });
  told.sign();
  const { failed, checks } = await verifyQuestion(told.files, told.trust);
  assert.deepEqual(failed, []);
  assert.deepEqual(checks.filter(({ skipped }) => skipped).map(({ name }) => name), ["figures.proof", "access.scopes"]);
});

test("a ledger that another key signed says the same, and is not the trusted one", async () => {
  const told = await Told.read();
  const { logKey } = told.trust;
  told.sign();
  assert.deepEqual(failures(await verifyQuestion(told.files, told.trust)), []);
  assert.deepEqual(failures(await verifyQuestion(told.files, { ...told.trust, logKey })), ["log.tree"]);
});

test("every file that is altered or missing is found", async () => {
  const [copied, known] = [await files(), await trust()];
  for (const [i, [name, raw]] of [...copied].entries()) {
    if (name.startsWith("tile/0/") || name === "question") continue; // the root covers the entries themselves
    const changed = new Map(copied);
    if (i % 3 === 0) {
      changed.delete(name);
    } else {
      const altered = Uint8Array.from(raw);
      altered[altered.length >> 1] = (altered[altered.length >> 1] as number) ^ 1;
      changed.set(name, altered);
    }
    const { failed } = await verifyQuestion(changed, known);
    // The changes of leaves are no part of what is checked here.
    const unread = new TextDecoder().decode(raw).includes('"kind":"consent.changes"');
    assert.equal(failed.length > 0, !unread, name);
  }
});

// What a hub could tell otherwise, with its own signature under all of it, and what fails then.
const lies: Record<string, [tell: (told: Told) => void, fails: string[]]> = {
  "a proof of another node": [
    (told) => {
      const [first, second] = [access(told, 0), access(told, 1)];
      [first["digest"], second["digest"]] = [second["digest"] as string, first["digest"] as string];
    },
    ["access.recorded"],
  ],
  "another commitment": [(told) => told.edit(told.at(7, question(told)), (result) => (Told.part(result)["commitment"] = "00".repeat(32))), ["access.recorded"]],
  "a copied commitment": [
    (told) => told.edit(told.at(7, question(told)), (result) => (Told.part(result, 1)["commitment"] = Told.part(result)["commitment"] as string)),
    ["access.recorded"],
  ],
  "more people than are proven": [(told) => told.edit(told.at(7, question(told)), (result) => (Told.part(result)["atLeast"] = 3)), ["access.recorded"]],
  "consents that nobody published": [(told) => told.edit(told.at(7, question(told)), (result) => (Told.part(result)["epoch"] = "11".repeat(32))), ["epoch.recorded"]],
  "a node that is left out": [(told) => told.edit(told.at(7, question(told)), (result) => void list(result["answered"]).pop()), ["result.nodes"]],
  "a node that is named twice": [
    (told) => told.edit(told.at(7, question(told)), (result) => (list(result["answered"])[1] = Told.part(result))),
    ["access.recorded", "result.nodes"],
  ],
  "a second result": [(told) => void told.entries.push({ ...told.at(7, question(told)), at: told.entries.at(-1)?.["at"] as string }), ["result.recorded"]],
  "a result before its question": [(told) => told.move(told.at(7, question(told)), told.at(6, question(told))), ["result.recorded"]],
  "consents after the question": [(told) => told.move(told.at(5, node(told, 1)), told.at(7, question(told))), ["epoch.recorded"]],
  "consents that are hidden": [(told) => told.remove(told.entries.find((entry) => entry["kind"] === 5) as Fields), ["epoch.recorded"]],
  "a node that was never enrolled": [(told) => told.remove(told.at(1, node(told, 0))), ["node.enrolled"]],
  "a node that was revoked": [
    (told) => {
      const revoked = { ...told.at(2), subject: node(told, 0) };
      told.entries.splice(told.entries.indexOf(told.at(6, question(told))), 0, { ...revoked, at: told.at(6, question(told))["at"] as string });
    },
    ["node.enrolled"],
  ],
  "a question by somebody else": [(told) => (told.at(6, question(told))["actor"] = node(told, 0)), ["question.signed"]],
  "a trial after the question": [(told) => told.move(told.at(4), told.at(7, question(told))), ["trial.signed"]],
  "keys that nobody trusts": [(told) => (told.trust.circuits = [{ key: "00".repeat(32) }]), ["epoch.proof"]],
  "boards that nobody trusts": [(told) => (told.trust.boards = [told.trust.hub]), ["trial.signed"]],
  "a proof for another chain": [(told) => (told.trust.chainId = 1), ["access.proof"]],
  "a key whose setup was never finished": [
    (told) => {
      const entry = told.entries.find((one) => one["kind"] === 3) as Fields;
      told.edit(entry, (circuit) => {
        const key = Buffer.from(circuit["verifyingKey"] as string, "base64");
        key.copy(key, 64 + 256, 64 + 128, 64 + 256); // delta becomes gamma
        circuit["verifyingKey"] = key.toString("base64");
      });
    },
    ["epoch.proof"],
  ],
};

const question = (told: Told): string => new TextDecoder().decode(told.files.get("question")).trim();
const node = (told: Told, i: number): string => Told.part(told.document(told.at(7, question(told))), i)["node"] as string;

const access = (told: Told, i: number): Fields =>
  told.entries.find((entry) => entry["kind"] === 8 && entry["subject"] === question(told) && entry["actor"] === node(told, i)) as Fields;

for (const [what, [tell, fails]] of Object.entries(lies)) {
  test(`a hub that tells of ${what} is found out`, async () => {
    const told = await Told.read();
    tell(told);
    told.sign();
    assert.deepEqual(failures(await verifyQuestion(told.files, told.trust)), fails);
  });
}
