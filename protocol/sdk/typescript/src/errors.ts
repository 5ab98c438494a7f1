// What can go wrong. No error holds a token, a key or a value of a record.

import { STATUS_CODES } from "node:http";
import type { Job } from "./api.js";

const PREFIX = "urn:trialmesh:problem:";

/** The base of all errors of this package. */
export class TrialmeshError extends Error {
  override name = this.constructor.name;
}

/**
 * The node was not reached, or it hung up before it had answered.
 *
 * `attempts` is how often it is tried at most where trying again hardly helps: once if the
 * certificate is not trusted, twice if the host's name has no address.
 */
export class NetworkError extends TrialmeshError {
  constructor(
    message: string,
    { attempts, ...options }: ErrorOptions & { attempts?: number } = {},
  ) {
    super(message, options);
    if (attempts !== undefined) this.attempts = attempts;
  }

  readonly attempts?: number;
}

/** A file is not what it was when its upload began: upload it from its beginning. */
export class FileChangedError extends TrialmeshError {}

/** A job was not over in time. It goes on; `job` is how it stood last. */
export class WaitTimeoutError extends TrialmeshError {
  constructor(readonly job: Job) {
    super(`job ${job.id} is not over: it is ${job.state}`);
  }
}

/**
 * The node refused, with a problem document (RFC 9457).
 *
 * `type` is a URN and `kind` its last part, such as `not-found`; `title` says what
 * happened, `detail` which field it is about and `rule` which rule refused, both absent
 * if the node does not say. `errors` are the document's single faults. `retryAfter` is in
 * milliseconds, if the node says when it may take it, and `scope` is what the client's token
 * would have to allow.
 */
export class ProblemError extends TrialmeshError {
  readonly type: string;
  readonly title: string;
  readonly detail?: string;
  readonly rule?: string;
  readonly errors: unknown[];

  constructor(
    readonly status: number,
    document: Partial<Record<string, unknown>>,
    readonly retryAfter?: number,
    readonly scope?: string,
  ) {
    const title = text(document.title) ?? STATUS_CODES[status] ?? "refused";
    const detail = text(document.detail);
    super(`${title}${detail ? `: ${detail}` : ""} (status ${status})`);
    this.type = text(document.type) ?? "about:blank";
    this.title = title;
    if (detail !== undefined) this.detail = detail;
    const rule = text(document.rule);
    if (rule !== undefined) this.rule = rule;
    this.errors = Array.isArray(document.errors) ? document.errors : [];
  }

  get kind(): string {
    return this.type.startsWith(PREFIX) ? this.type.slice(PREFIX.length) : this.type;
  }

  static async of(answer: Response): Promise<ProblemError> {
    return new ProblemError(answer.status, await documentOf(answer), retryAfter(answer), missingScope(answer));
  }
}

/**
 * The authorization server gave no token. `title` is its error, such as
 * `invalid_client`, and `detail` its description (RFC 6749, section 5.2).
 */
export class OAuthError extends ProblemError {
  static override async of(answer: Response): Promise<OAuthError> {
    const said = await documentOf(answer);
    return new OAuthError(answer.status, { title: said.error ?? said.title, detail: said.error_description }, retryAfter(answer));
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** What an answer says of its refusal; a proxy's page says nothing. */
async function documentOf(answer: Response): Promise<Partial<Record<string, unknown>>> {
  try {
    const document: unknown = await answer.json();
    return typeof document === "object" && document !== null ? { ...document } : {};
  } catch {
    return {};
  }
}

/** The scope that is missing (RFC 6750, section 3). */
function missingScope({ headers }: Response): string | undefined {
  return /[\s,]scope="([^"]+)"/.exec(headers.get("WWW-Authenticate") ?? "")?.[1];
}

/** Milliseconds, of a header that has seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(answer: Response): number | undefined {
  const header = answer.headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(header)) return 1000 * Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
