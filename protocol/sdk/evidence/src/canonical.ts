// JSON in the one form that is hashed and signed (RFC 8785).

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Fields = { [name: string]: Json };

/** canonical writes a value as RFC 8785 does: numbers and strings as JSON.stringify, names in order of UTF-16 units. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const names = Object.keys(value).sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name] as Json)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/**
 * parse reads a document that must be canonical. What says something twice, or has a number that
 * does not fit, is not what it would be written as, and is refused.
 */
export function parse(raw: Uint8Array): Json {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  const value = JSON.parse(text) as Json;
  if (canonical(value) !== text) throw new Error("the document is not in canonical form");
  return value;
}

/** fields is parse for an object. */
export function fields(value: Json | undefined): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("the document is no object");
  return value;
}

export function text(value: Json | undefined): string {
  if (typeof value !== "string") throw new Error("a text is missing");
  return value;
}

/** whole is a number that counts something. */
export function whole(value: Json | undefined): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Error("a whole number is missing");
  return value;
}

export function list(value: Json | undefined): Json[] {
  if (!Array.isArray(value)) throw new Error("a list is missing");
  return value;
}

/** time is a time in milliseconds, written to the second in UTC. */
export function time(value: Json | undefined): number {
  const written = text(value);
  const at = Date.parse(written);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(written) || Number.isNaN(at)) throw new Error("a time is missing");
  return at;
}
