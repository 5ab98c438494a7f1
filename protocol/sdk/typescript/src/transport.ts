// One exchange over HTTP: a request, and its answer read to the end.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { NetworkError, TrialmeshError } from "./errors.js";

const VERSION = "0.1.0";
const MAX_ANSWER = 16 << 20; // bytes
const QUIET = 300_000; // milliseconds without a byte, as fetch has it
const LOCAL = new Set(["localhost", "127.0.0.1", "[::1]"]);

// Codes of errors, of X.509 without those that the other side sends, and of getaddrinfo.
const UNTRUSTED = /^(?!ERR_SSL_).*(CERT|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH|INVALID_CA)/;
const UNKNOWN_HOST = /^(ENOTFOUND|EAI_)/;

// What fetch may do with a body. Of a stream that might be sent again, after a redirect or
// a question to the user of a window, it keeps all in memory.
const WHOLE = { redirect: "manual" };
const STREAMED = { duplex: "half", redirect: "error", window: null };

export interface Exchange {
  method: string;
  headers: Headers;
  body?: string | ReadableStream<Uint8Array>;
  /** Milliseconds for the whole of it. */
  timeout?: number;
}

/** Sends requests and reads answers, whatever their status. */
export class Transport {
  readonly #agent: Agent | undefined;

  /** `ca` are certificates in PEM to trust in place of those Node.js comes with. */
  constructor(ca: string | undefined) {
    if (ca !== undefined) this.#agent = new Agent({ ca, keepAlive: true, minVersion: "TLSv1.2" });
  }

  async exchange(url: string, { method, headers, body, timeout }: Exchange): Promise<Response> {
    headers.set("User-Agent", `trialmesh-typescript/${VERSION}`);
    const signal = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
    try {
      const answer =
        this.#agent !== undefined && url.startsWith("https:")
          ? await this.#trusting(this.#agent, url, { method, headers, body, signal })
          : await fetch(url, { method, headers, body, signal, ...(typeof body === "object" ? STREAMED : WHOLE) } as RequestInit);
      return await whole(answer);
    } catch (err) {
      if (err instanceof TrialmeshError) throw err;
      const { origin, pathname } = new URL(url);
      throw unreached(`${method} ${pathname}`, origin, err);
    }
  }

  /** What fetch does, which in Node.js takes no certificates of ours. */
  async #trusting(agent: Agent, url: string, { body, headers, ...rest }: Omit<Exchange, "timeout"> & { signal?: AbortSignal }): Promise<Response> {
    const sent = request(url, { agent, headers: Object.fromEntries(headers), ...rest });
    sent.setTimeout(QUIET, () => sent.destroy(new Error("nothing came for five minutes")));
    const answered = once(sent, "response") as Promise<[IncomingMessage]>;
    if (body === undefined || typeof body === "string") sent.end(body);
    else pipeline(Readable.fromWeb(body), sent).catch(() => {}); // its error is the request's
    const [incoming] = await answered;
    const status = incoming.statusCode ?? 502;
    const bodiless = status === 204 || status === 304;
    if (bodiless) incoming.resume();
    return new Response(bodiless ? null : (Readable.toWeb(incoming) as never), { status, headers: incoming.headers as Record<string, string> });
  }
}

/** The answer with its body in memory, so that it does not break off later. */
async function whole(answer: Response): Promise<Response> {
  if (answer.body === null) return answer;
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body as ReadableStream<Uint8Array>) {
    size += piece.length;
    if (size > MAX_ANSWER) throw new TrialmeshError(`the answer is over ${MAX_ANSWER} bytes`);
    pieces.push(piece);
  }
  return new Response(Buffer.concat(pieces), answer);
}

/** Why there is no answer, and what to change where that is known. */
function unreached(request: string, origin: string, cause: unknown): NetworkError {
  const code = reason(cause);
  if (UNTRUSTED.test(code)) {
    const why = `the certificate of ${origin} is not trusted (${code})`;
    return new NetworkError(`${request}: ${why}; if the hospital has its own certificate authority, name its file with the option ca`, { cause, attempts: 1 });
  }
  if (UNKNOWN_HOST.test(code)) {
    return new NetworkError(`${request}: the host of ${origin} is not known here, its name has no address`, { cause, attempts: 2 });
  }
  return new NetworkError(`${request}: ${origin} was not reached or hung up (${code})`, { cause });
}

/** The innermost reason of a failure, as fetch wraps it. */
function reason(err: unknown): string {
  const cause = err instanceof Error && err.cause !== undefined ? err.cause : err;
  if (!(cause instanceof Error)) return "no reason given";
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.name;
}

/** The URL without a slash at its end. A token goes over TLS, or stays on this machine. */
export function checkedURL(url: string): string {
  const u = URL.canParse(url) ? new URL(url) : undefined;
  if (u === undefined || u.username || u.password || u.search || u.hash) {
    throw new TypeError("a URL is like https://node.example, without user, query or fragment");
  }
  if (u.protocol !== "https:" && !(u.protocol === "http:" && LOCAL.has(u.hostname))) {
    throw new TypeError("a URL begins with https://; http:// is for this machine only");
  }
  return u.href.replace(/\/+$/, "");
}
