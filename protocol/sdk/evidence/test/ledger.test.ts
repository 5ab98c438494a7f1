import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase64, hex, join, sha256, utf8 } from "../src/bytes.js";
import { canonical, parse } from "../src/canonical.js";
import { included, openReceipt, parseTrust, treeRoot, unpack } from "../src/index.js";
import { bundles } from "../src/ledger.js";
import { didKey } from "../src/signature.js";
import { keyOf, note } from "./told.js";

// The path of an entry, from the definition of RFC 9162 and not from the verifier's loop.
function path(index: number, entries: Uint8Array[]): Uint8Array[] {
  if (entries.length === 1) return [];
  let half = 1;
  while (2 * half < entries.length) half *= 2;
  const [left, right] = [entries.slice(0, half), entries.slice(half)];
  return index < half ? [...path(index, left), treeRoot(right)] : [...path(index - half, right), treeRoot(left)];
}

test("inclusion is proven for every entry of trees of every shape, and for no other", () => {
  for (let size = 1; size <= 20; size++) {
    const entries = Array.from({ length: size }, (_, i) => utf8(`entry ${i}`));
    const checkpoint = { origin: "test", size, root: treeRoot(entries) };
    entries.forEach((entry, index) => {
      const proof = path(index, entries);
      assert.ok(included(entry, index, proof, checkpoint));
      assert.ok(!included(utf8("another"), index, proof, checkpoint));
      assert.ok(!included(entry, index + 1, proof, checkpoint));
      assert.ok(!included(entry, index, [...proof, sha256()], checkpoint));
      if (proof.length > 0) assert.ok(!included(entry, index, proof.slice(1), checkpoint));
    });
  }
});

test("a receipt proves its entry by itself", () => {
  const entries = Array.from({ length: 7 }, (_, i) => utf8(`{"v":${i}}`));
  const base64 = (raw: Uint8Array): string => Buffer.from(raw).toString("base64");
  const signed = new TextDecoder().decode(note("test/log", `test/log\n7\n${base64(treeRoot(entries))}\n`));
  const receipt = (entry: Uint8Array): Uint8Array =>
    utf8(["c2sp.org/tlog-proof@v1", `extra ${base64(entry)}`, "index 4", ...path(4, entries).map(base64), "", signed].join("\n"));
  const opened = openReceipt(receipt(entries[4] as Uint8Array), "test/log", keyOf("test/log"));
  assert.equal(hex(opened.entry), hex(entries[4] as Uint8Array));
  assert.equal(opened.index, 4);
  assert.throws(() => openReceipt(receipt(entries[3] as Uint8Array), "test/log", keyOf("test/log")), /not in the ledger/);
  assert.throws(() => openReceipt(receipt(entries[4] as Uint8Array), "other/log", keyOf("other/log")), /not signed/);
});

test("a root of two entries is that of RFC 6962", () => {
  const leaf = (text: string): Uint8Array => sha256(Uint8Array.of(0), utf8(text));
  assert.equal(hex(treeRoot([utf8("a"), utf8("b")])), hex(sha256(Uint8Array.of(1), leaf("a"), leaf("b"))));
  assert.equal(hex(treeRoot([])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("bundles are named as C2SP tiles are", () => {
  assert.deepEqual([...bundles(300)], [["tile/entries/000", 256], ["tile/entries/001.p/44", 44]]);
  assert.deepEqual([...bundles(256 * 1234 + 1)].at(-1), ["tile/entries/x001/234.p/1", 1]);
  assert.deepEqual([...bundles(0)], []);
});

test("documents in another form are refused", () => {
  assert.equal(canonical({ b: [1, "é\n", null], a: 1e21 }), '{"a":1e+21,"b":[1,"é\\n",null]}');
  for (const text of ['{"a":1,"a":2}', '{"b":1,"a":2}', '{"a": 1}', '{"a":1.0}', '{"a":9007199254740993}', '\ufeff{}', "{", ""]) {
    assert.throws(() => parse(utf8(text)), text);
  }
  assert.throws(() => parse(Uint8Array.of(34, 255, 34)));
});

test("what only looks like a key, a number or an archive is refused", () => {
  assert.equal(didKey("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK").length, 32);
  for (const did of ["did:key:z", "did:key:z6Mk", "did:web:example.org", "did:key:z16MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"]) {
    assert.throws(() => didKey(did), did);
  }
  for (const text of ["QQ", "QQ=", "Q Q=", "QR=="]) assert.throws(() => fromBase64(text), text);
  assert.throws(() => unpack(utf8("garbage")));
  assert.throws(() => parseTrust(utf8('{"hub":"x","origin":"y","logKey":"z","bords":[]}')), /unknown field "bords"/);
  assert.throws(() => parseTrust(utf8('{"hub":"x"}')), /origin is missing/);
  assert.equal(hex(join(Uint8Array.of(1), Uint8Array.of(2))), "0102");
});
