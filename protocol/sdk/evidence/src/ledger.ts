// The ledger: C2SP signed notes, checkpoints and entry bundles, and the tree of RFC 6962.

import { fromBase64, join, same, sha256, utf8 } from "./bytes.js";
import { signedBy } from "./signature.js";

export interface Checkpoint {
  origin: string;
  size: number;
  root: Uint8Array;
}

/** The most that a checkpoint may have, in bytes. */
const maxNote = 1 << 20;

/** openCheckpoint checks that a key (a C2SP verifier key) signed a checkpoint of an origin. */
export function openCheckpoint(note: Uint8Array, origin: string, verifierKey: string): Checkpoint {
  if (note.length > maxNote) throw new Error("the checkpoint is too large to be one");
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(verifierKey) ?? [];
  const key = fromBase64(encoded ?? "");
  if (!name || key.length !== 33 || key[0] !== 1) throw new Error("the trust document's logKey is no Ed25519 key");
  const hint = sha256(utf8(`${name}\n`), key).subarray(0, 4);
  if (Buffer.from(hint).toString("hex") !== id) throw new Error("the trust document's logKey contradicts itself");

  const written = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(note);
  const end = written.lastIndexOf("\n\n");
  if (end < 0 || !written.endsWith("\n")) throw new Error("the checkpoint is no signed note");
  const signed = written.slice(0, end + 1);
  const good = written
    .slice(end + 2, -1)
    .split("\n")
    .some((line) => {
      const [, by, signature] = /^— (\S+) (\S+)$/.exec(line) ?? [];
      if (by !== name || !signature) return false;
      const raw = fromBase64(signature);
      return same(raw.subarray(0, 4), hint) && signedBy(key.subarray(1), utf8(signed), raw.subarray(4));
    });
  if (!good) throw new Error("the checkpoint is not signed by the trusted key");
  const [first, size, root, ...rest] = signed.split("\n");
  if (first !== origin || rest.length < 1 || !/^(0|[1-9]\d{0,15})$/.test(size ?? "")) throw new Error("the checkpoint is of another ledger");
  const hash = fromBase64(root ?? "");
  if (hash.length !== 32 || !Number.isSafeInteger(Number(size))) throw new Error("the checkpoint has no root");
  return { origin, size: Number(size), root: hash };
}

const leafHash = (entry: Uint8Array): Uint8Array => sha256(Uint8Array.of(0), entry);
const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array => sha256(Uint8Array.of(1), left, right);

/** treeRoot is the root over entries. */
export function treeRoot(entries: Uint8Array[]): Uint8Array {
  if (entries.length === 0) return sha256();
  const fold = (hashes: Uint8Array[]): Uint8Array => {
    if (hashes.length === 1) return hashes[0] as Uint8Array;
    let half = 1;
    while (2 * half < hashes.length) half *= 2;
    return nodeHash(fold(hashes.slice(0, half)), fold(hashes.slice(half)));
  };
  return fold(entries.map(leafHash));
}

/** included checks the path from an entry to a root (RFC 9162, 2.1.3.2). */
export function included(entry: Uint8Array, index: number, path: Uint8Array[], checkpoint: Checkpoint): boolean {
  if (index < 0 || index >= checkpoint.size) return false;
  let [place, last, hash] = [index, checkpoint.size - 1, leafHash(entry)];
  for (const sibling of path) {
    if (last === 0) return false;
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(sibling, hash);
      while (place % 2 === 0 && place !== 0) [place, last] = [Math.floor(place / 2), Math.floor(last / 2)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [place, last] = [Math.floor(place / 2), Math.floor(last / 2)];
  }
  return last === 0 && same(hash, checkpoint.root);
}

const width = 256; // entries of a full bundle

/** bundles returns the files of the entries of a ledger, in order, with how many each has. */
export function* bundles(size: number): Generator<[path: string, entries: number]> {
  for (let first = 0; first < size; first += width) {
    const count = Math.min(width, size - first);
    const groups: string[] = [];
    for (let n = first / width; groups.length === 0 || n > 0; n = Math.floor(n / 1000)) {
      groups.unshift((groups.length ? "x" : "") + String(n % 1000).padStart(3, "0"));
    }
    yield [`tile/entries/${groups.join("/")}${count < width ? `.p/${count}` : ""}`, count];
  }
}

/** entriesOf splits a bundle. */
export function entriesOf(bundle: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.byteLength);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bundle.length) {
    if (at + 2 > bundle.length) throw new Error("an entry is cut off");
    const length = view.getUint16(at);
    if (at + 2 + length > bundle.length) throw new Error("an entry is cut off");
    entries.push(bundle.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  if (entries.length !== count) throw new Error(`the file has ${entries.length} entries, not ${count}`);
  return entries;
}

/**
 * openReceipt checks a C2SP tlog-proof with the entry in it, and returns the entry. It needs nothing
 * else than the origin and key of the ledger.
 */
export function openReceipt(receipt: Uint8Array, origin: string, verifierKey: string): { entry: Uint8Array; index: number; checkpoint: Checkpoint } {
  const written = new TextDecoder("utf-8", { fatal: true }).decode(receipt);
  const split = written.indexOf("\n\n");
  const lines = written.slice(0, split).split("\n");
  if (split < 0 || lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Error("the file is no receipt");
  const [, extra] = /^extra (\S+)$/.exec(lines[0] ?? "") ?? [];
  const [, index] = /^index (0|[1-9]\d{0,15})$/.exec(lines[1] ?? "") ?? [];
  if (!extra || !index) throw new Error("the receipt has no entry");
  const checkpoint = openCheckpoint(utf8(written.slice(split + 2)), origin, verifierKey);
  const entry = fromBase64(extra);
  const path = lines.slice(2).map(fromBase64);
  if (path.some((hash) => hash.length !== 32) || !included(entry, Number(index), path, checkpoint)) {
    throw new Error("the entry is not in the ledger that was signed");
  }
  return { entry: join(entry), index: Number(index), checkpoint };
}
