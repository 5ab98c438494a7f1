// Ed25519 keys and signatures, and the envelopes that carry what was signed.

import { ed25519 } from "@noble/curves/ed25519.js";
import { fromBase64, fromHex, hex, join, sha256, utf8 } from "./bytes.js";
import { canonical, fields, text, time, whole, type Fields, type Json } from "./canonical.js";

/** signedBy reports whether a key signed a message, by the rules of RFC 8032. */
export function signedBy(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return signature.length === 64 && ed25519.verify(signature, message, key, { zip215: false });
  } catch {
    return false; // not a point
  }
}

const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** didKey returns the key that a did:key names. */
export function didKey(did: string): Uint8Array {
  const [, encoded] = /^did:key:z([2-9A-HJ-NP-Za-km-z][1-9A-HJ-NP-Za-km-z]{1,47})$/.exec(did) ?? [];
  if (!encoded) throw new Error("not a did:key of an Ed25519 key");
  let value = 0n;
  for (const digit of encoded) value = value * 58n + BigInt(digits.indexOf(digit));
  const written = value.toString(16);
  if (written.length !== 68 || !written.startsWith("ed01")) throw new Error("not a did:key of an Ed25519 key");
  return fromHex(written.slice(4), 32);
}

/** How far clocks may be apart, in milliseconds. */
export const skew = 120_000;

/** Envelope is a signed message. */
export interface Envelope {
  issuer: string;
  issued: number;
  expires: number;
  body: Fields;
  /** digest names the message: the SHA-256 of what was signed, in hex. */
  digest: string;
}

/**
 * open checks the signature of an envelope and, unless at is absent, that it was valid at a time in
 * milliseconds.
 */
export function open(document: Json, kind: string, at?: number): Envelope {
  const { signature, ...unsigned } = fields(document);
  const message = join(utf8("trialmesh envelope v1\n"), utf8(canonical(unsigned)));
  const known = ["body", "expires", "issued", "issuer", "kind", "nonce", "version"];
  if (Object.keys(unsigned).sort().join() !== known.join()) throw new Error("the envelope has other fields than envelopes have");
  const { version, nonce, body } = unsigned;
  if (whole(version) !== 1) throw new Error("the envelope is of another version");
  if (unsigned["kind"] !== kind) throw new Error(`the envelope is not of kind ${kind}`);
  fromHex(text(nonce), 16);
  const issuer = text(unsigned["issuer"]);
  const issued = time(unsigned["issued"]);
  const expires = time(unsigned["expires"]);
  if (expires <= issued) throw new Error("the envelope ends before it begins");
  if (!signedBy(didKey(issuer), message, fromBase64(text(signature)))) throw new Error("the signature does not verify");
  if (at !== undefined && (at + skew < issued || at >= expires)) throw new Error("the envelope was not valid when it was recorded");
  return { issuer, issued, expires, body: fields(body), digest: hex(sha256(message)) };
}
