// Requests with a token, made again when that may help.

import type { ReadableStream } from "node:stream/web";
import { setTimeout as sleep } from "node:timers/promises";
import type { Auth } from "./auth.js";
import { NetworkError, ProblemError } from "./errors.js";
import type { Transport } from "./transport.js";

const LONGEST = 60_000; // milliseconds that are waited before a request is made again

// Statuses that say that nothing was done, and of proxies that do not know.
const REFUSED_FOR_NOW = [423, 429, 503];
const UNKNOWN = [502, 504];

/**
 * Milliseconds to wait after so many failures, from 1: doubled each time up to ten
 * seconds, and up to half of it less, so that many clients do not come at once.
 */
export function pause(failures: number, retryAfter?: number): number {
  if (retryAfter !== undefined) return retryAfter + 250 * Math.random();
  return Math.min(10_000, 125 * 2 ** failures) * (0.5 + Math.random() / 2);
}

export interface Call {
  method: string;
  headers?: Record<string, string> | Headers;
  body?: string;
  timeout?: number;
}

/** Makes requests to one node. */
export class Caller {
  constructor(
    private readonly transport: Transport,
    readonly url: string,
    private readonly auth: Auth,
    private readonly attempts: number,
    private readonly timeout: number,
  ) {}

  /**
   * A request that is made again when the node could not take it; also when nobody knows
   * what became of it, unless it is an act without an idempotency key.
   */
  async request(path: string, call: Call): Promise<Response> {
    const repeatable = call.method !== "POST" || new Headers(call.headers).has("Idempotency-Key");
    for (let failures = 1; ; failures++) {
      try {
        return await this.once(path, { timeout: this.timeout, ...call });
      } catch (err) {
        await this.waitAfter(err, failures, repeatable);
      }
    }
  }

  /** Waits until the request may be made again, or throws its error. */
  async waitAfter(err: unknown, failures: number, repeatable: boolean): Promise<void> {
    let passing = err instanceof NetworkError && repeatable;
    let after: number | undefined;
    let { attempts } = this;
    if (err instanceof NetworkError) attempts = Math.min(attempts, err.attempts ?? attempts);
    if (err instanceof ProblemError) {
      after = err.retryAfter;
      // Status 409 is of an earlier request with the same key that is under way.
      passing = REFUSED_FOR_NOW.includes(err.status) || (repeatable && [...UNKNOWN, 409].includes(err.status));
    }
    if (!passing || failures >= attempts || (after ?? 0) > LONGEST) throw err;
    await sleep(pause(failures, after));
  }

  /** A request that is made once; twice if the token has to be renewed. */
  async once(path: string, call: Omit<Call, "body"> & { body?: string | ReadableStream<Uint8Array> }): Promise<Response> {
    let answer = await this.#send(path, call);
    if (answer.status === 401 && (call.body === undefined || typeof call.body === "string") && this.auth.renew()) {
      answer = await this.#send(path, call);
    }
    if (answer.status >= 300) throw await ProblemError.of(answer);
    return answer;
  }

  async #send(path: string, call: Omit<Call, "body"> & { body?: string | ReadableStream<Uint8Array> }): Promise<Response> {
    const headers = new Headers(call.headers);
    headers.set("Authorization", `Bearer ${await this.auth.token(this.transport, this.url)}`);
    return this.transport.exchange(this.url + path, { ...call, headers });
  }
}

/** An idempotency key as its header has it: a string of RFC 9651. */
export function quoted(key: string): string {
  if (!/^[ -~]{1,255}$/.test(key)) throw new TypeError("an idempotency key has 1 to 255 printable characters of ASCII");
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}
