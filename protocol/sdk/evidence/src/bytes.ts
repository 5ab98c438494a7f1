import { sha256 as hash } from "@noble/hashes/sha2.js";

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const hex = (raw: Uint8Array): string => Buffer.from(raw).toString("hex");
export const sha256 = (...parts: Uint8Array[]): Uint8Array => hash(join(...parts));
export const same = (a: Uint8Array, b: Uint8Array): boolean => hex(a) === hex(b);

export function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** fromHex reads hex digits of lower case, of so many bytes. */
export function fromHex(text: string, bytes: number): Uint8Array {
  if (!/^[0-9a-f]*$/.test(text) || text.length !== 2 * bytes) throw new Error(`not ${bytes} bytes in hex`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** fromBase64 reads padded standard base64 and nothing that only looks like it. */
export function fromBase64(text: string): Uint8Array {
  const raw = Buffer.from(text, "base64");
  if (raw.toString("base64") !== text) throw new Error("not base64");
  return new Uint8Array(raw);
}

/** number reads bytes, most significant first. */
export const number = (raw: Uint8Array): bigint => (raw.length ? BigInt(`0x${hex(raw)}`) : 0n);
