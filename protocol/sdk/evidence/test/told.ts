// The example's ledger as another hub would tell it: changed, and signed by a key of the test.

import { ed25519 } from "@noble/curves/ed25519.js";
import { readFile } from "node:fs/promises";
import { hex, join, sha256, utf8 } from "../src/bytes.js";
import { canonical, fields, list, parse, type Fields, type Json } from "../src/canonical.js";
import { parseTrust, unpack, type Files, type Trust } from "../src/index.js";
import { bundles, entriesOf, openCheckpoint, treeRoot } from "../src/ledger.js";

const example = new URL("../../../../../hub/page/testdata/", import.meta.url);

export const files = async (): Promise<Files> => unpack(await readFile(new URL("count.zip", example)));
export const trust = async (): Promise<Trust> => parseTrust(await readFile(new URL("trust.json", example)));

const secret = new Uint8Array(32).fill(7);
const publicKey = join(Uint8Array.of(1), ed25519.getPublicKey(secret));
const base64 = (raw: Uint8Array): string => Buffer.from(raw).toString("base64");

/** note signs a text as a key of the test does. */
export function note(name: string, text: string): Uint8Array {
  const hint = sha256(utf8(`${name}\n`), publicKey).subarray(0, 4);
  return utf8(`${text}\n— ${name} ${base64(join(hint, ed25519.sign(utf8(text), secret)))}\n`);
}

/** keyOf is that key as trust documents write it. */
export const keyOf = (name: string): string => `${name}+${hex(sha256(utf8(`${name}\n`), publicKey).subarray(0, 4))}+${base64(publicKey)}`;

/** Told is a ledger that can be changed. */
export class Told {
  constructor(
    readonly files: Files,
    readonly trust: Trust,
    readonly entries: Fields[],
  ) {}

  static async read(): Promise<Told> {
    const copied = await files();
    const known = await trust();
    const { size } = openCheckpoint(copied.get("checkpoint") as Uint8Array, known.origin, known.logKey);
    const entries = [...bundles(size)].flatMap(([path, count]) => entriesOf(copied.get(path) as Uint8Array, count).map((raw) => fields(parse(raw))));
    return new Told(copied, known, entries);
  }

  /** at returns the last entry of a kind, about a subject or by an actor if given. */
  at(kind: number, about?: string): Fields {
    const found = this.entries.filter((entry) => entry["kind"] === kind && (!about || entry["subject"] === about || entry["actor"] === about)).at(-1);
    if (!found) throw new Error(`no entry of kind ${kind}`);
    return found;
  }

  document(entry: Fields): Fields {
    return fields(parse(this.files.get(`documents/${String(entry["digest"])}.json`) as Uint8Array));
  }

  /** edit changes an entry's document. */
  edit(entry: Fields, change: (document: Fields) => void): void {
    const document = this.document(entry);
    change(document);
    const raw = utf8(canonical(document));
    entry["digest"] = hex(sha256(raw));
    this.files.set(`documents/${String(entry["digest"])}.json`, raw);
  }

  /** part returns what the first node of a result answered. */
  static part(result: Fields, i = 0): Fields {
    return fields(list(result["answered"])[i] as Json);
  }

  /** move puts an entry just before another, of the same time. */
  move(entry: Fields, before: Fields): void {
    this.entries.splice(this.entries.indexOf(entry), 1);
    entry["at"] = before["at"] as Json;
    this.entries.splice(this.entries.indexOf(before), 0, entry);
  }

  remove(entry: Fields): void {
    this.entries.splice(this.entries.indexOf(entry), 1);
  }

  /** sign writes the ledger anew. */
  sign(): void {
    const raws = this.entries.map((entry) => utf8(canonical(entry)));
    let first = 0;
    for (const [path, count] of bundles(raws.length)) {
      const bundle = raws.slice(first, (first += count)).flatMap((raw) => [Uint8Array.of(raw.length >> 8, raw.length & 255), raw]);
      this.files.set(path, join(...bundle));
    }
    const { origin } = this.trust;
    this.files.set("checkpoint", note(origin, `${origin}\n${raws.length}\n${base64(treeRoot(raws))}\n`));
    this.trust.logKey = keyOf(origin);
  }
}
