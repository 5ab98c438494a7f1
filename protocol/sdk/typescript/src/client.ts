// The client of a node.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type {
  CodeEntry,
  Job,
  Observation,
  PartialUpload,
  Problem,
  ReportLoad as LoadReport,
  ReportReport as QualityReport,
  Series,
  Status,
  Unit,
  UnmappedCode,
  Upload,
  Variable,
  Version,
  paths,
} from "./api.js";
import { type Auth, Bearer } from "./auth.js";
import { Caller, quoted } from "./caller.js";
import { TrialmeshError, WaitTimeoutError } from "./errors.js";
import { checkedURL, Transport } from "./transport.js";
import * as tus from "./tus.js";

const BATCH = 8 << 20; // characters of one request with observations
const PAGE = 500; // entries of a list that are asked for at once
const SLOWEST_POLL = 2_000; // milliseconds
const LONG = 3_600_000; // milliseconds that a quality report may take

/** A list of reference data of one version, fetched page by page as it is read. */
export class Listing<T, V> implements AsyncIterable<T> {
  private constructor(
    private readonly fetch: (offset: number, version?: V) => Promise<Page<T, V>>,
    private readonly first: Page<T, V>,
  ) {}

  /** @internal */
  static async of<T, V>(fetch: (offset: number, version?: V) => Promise<Page<T, V>>): Promise<Listing<T, V>> {
    return new Listing(fetch, await fetch(0));
  }

  get version(): V {
    return this.first.version;
  }

  get total(): number {
    return this.first.total;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    let { entries } = this.first;
    for (let seen = 0; entries.length > 0; ) {
      yield* entries;
      seen += entries.length;
      if (seen >= this.total) return;
      ({ entries } = await this.fetch(seen, this.version));
    }
  }
}

interface Page<T, V> {
  entries: T[];
  version: V;
  total: number;
}

/** How many entries of a list are asked for at once, 1 to 1,000; 500 by default. */
interface Paged {
  pageSize?: number;
}

export interface ClientOptions {
  /** A file with the certificates to trust in place of those Node.js comes with. */
  ca?: string;
  /** Milliseconds for one request; 60,000 by default. Uploads take as long as they need. */
  timeout?: number;
  /** How often a request is made that may be repeated; 8 by default. */
  attempts?: number;
}

export interface UploadOptions {
  /** For people; by default that of the file. */
  name?: string;
  /** An idempotency key: the same key and size is the same upload. */
  key?: string;
  /** The id of an upload that another process began, see `createUpload`. */
  resume?: string;
  /** Is told how many bytes are sent, of how many. */
  progress?: tus.Progress;
}

/** Talks to one node. `auth` is the node's bearer token, or a BackendService. */
export class Client {
  readonly #caller: Caller;
  readonly #api;

  constructor(url: string, auth: string | Auth, { ca, timeout = 60_000, attempts = 8 }: ClientOptions = {}) {
    const transport = new Transport(ca === undefined ? undefined : readFileSync(ca, "utf8"));
    const caller = new Caller(transport, checkedURL(url), typeof auth === "string" ? new Bearer(auth) : auth, attempts, timeout);
    this.#caller = caller;
    this.#api = createClient<paths>({
      baseUrl: caller.url,
      async fetch(request: Request) {
        const body = request.body === null ? undefined : await request.text();
        const long = request.url.endsWith("/v1/quality/runs") && { timeout: LONG };
        return caller.request(request.url.slice(caller.url.length), { method: request.method, headers: request.headers, body, ...long });
      },
    });
  }

  // Data

  /**
   * Sends a file, a path or a Blob, and returns when the node has all of it on disk and
   * its load is enqueued. It takes little memory whatever the size, and goes on after a
   * broken connection where it stopped.
   */
  async upload(file: tus.File, { resume, progress, ...options }: UploadOptions = {}): Promise<Upload> {
    return tus.finish(this.#caller, resume ?? (await this.createUpload(file, options)), file, progress);
  }

  /**
   * Makes room for a file and returns the upload's id. Keep it, and call `upload` with it
   * as `resume` until that returns, in this process or another.
   */
  async createUpload(file: tus.File, { name, key }: Pick<UploadOptions, "name" | "key"> = {}): Promise<string> {
    return tus.create(this.#caller, file, name, key ?? crypto.randomUUID());
  }

  /** Uploads that wait for more, oldest first. */
  async uploads(): Promise<PartialUpload[]> {
    return (await data(this.#api.GET("/v1/ingest/uploads"))).uploads;
  }

  /** Forgets an upload; the load of one that is whole goes on. */
  async dropUpload(uploadId: string): Promise<void> {
    await this.#caller.request(`${tus.UPLOADS}/${encodeURIComponent(uploadId)}`, { method: "DELETE", headers: tus.TUS });
  }

  /**
   * Sends time series, in as many requests as their size needs, and returns the ids of
   * their jobs when all are durable.
   *
   * `source` says which kind of device or program the values come from. With a key the
   * same call may be made again: batches that the node has are not loaded twice.
   */
  async observe(
    source: string,
    observations: Iterable<Observation> | AsyncIterable<Observation>,
    { key = crypto.randomUUID() }: { key?: string } = {},
  ): Promise<string[]> {
    const jobs: string[] = [];
    for await (const batch of batches(observations)) {
      const body = `{"source":${JSON.stringify(source)},"observations":[${batch.join()}]}`;
      const headers = { "Content-Type": "application/json", "Idempotency-Key": quoted(`${key}/${jobs.length}`) };
      const answer = await this.#caller.request("/v1/ingest/observations", { method: "POST", headers, body });
      jobs.push(((await answer.json()) as { jobId: string }).jobId);
    }
    return jobs;
  }

  // Jobs

  /** How a load is going, with the first of its problems. */
  async job(jobId: string): Promise<Job> {
    return data(this.#api.GET("/v1/ingest/jobs/{id}", { params: { path: { id: jobId } } }));
  }

  /** Loads, newest first and without their problems. */
  async *jobs({ state, pageSize = PAGE }: { state?: Job["state"] } & Paged = {}): AsyncGenerator<Job> {
    for (let before: number | undefined; ; ) {
      const { jobs } = await data(this.#api.GET("/v1/ingest/jobs", { params: { query: { before, limit: pageSize, state } } }));
      yield* jobs;
      if (jobs.length < pageSize) return;
      before = Number(jobs.at(-1)?.id);
    }
  }

  /** What of a file was not stored as it is, by line and rule. */
  async *problems(jobId: string, { pageSize = PAGE }: Paged = {}): AsyncGenerator<Problem> {
    for (let seen = 0; ; ) {
      const params = { path: { id: jobId }, query: { offset: seen, limit: pageSize } };
      const { problems } = await data(this.#api.GET("/v1/ingest/jobs/{id}", { params }));
      yield* problems;
      if (problems.length < pageSize) return;
      seen += problems.length;
    }
  }

  /**
   * Asks for a job, ever less often, until it is over, and returns how it ended: look at
   * its state. `progress` is shown every state that is seen; a WaitTimeoutError comes
   * after `timeout` milliseconds.
   */
  async wait(jobId: string, { timeout = Infinity, progress }: { timeout?: number; progress?: (job: Job) => void } = {}): Promise<Job> {
    const end = performance.now() + timeout;
    for (let pause = 50; ; pause = Math.min(SLOWEST_POLL, pause * 1.5)) {
      const job = await this.job(jobId);
      progress?.(job);
      if (job.state !== "queued" && job.state !== "running") return job;
      if (performance.now() + pause > end) throw new WaitTimeoutError(job);
      await sleep(pause);
    }
  }

  /** Makes a load that failed or was cancelled go on where it was. */
  async retry(jobId: string): Promise<Job> {
    return data(this.#api.POST("/v1/ingest/jobs/{id}/retry", { params: { path: { id: jobId } } }));
  }

  /** Ends a load that is not over. What was stored stays. */
  async cancel(jobId: string): Promise<Job> {
    return data(this.#api.POST("/v1/ingest/jobs/{id}/cancel", { params: { path: { id: jobId } } }));
  }

  // Reference data

  /** What the node checks and has a meaning for; of the newest version by default. */
  async variables({
    pageSize = PAGE,
    version,
    ...only
  }: { category?: string; system?: string; code?: string; version?: number } & Paged = {}): Promise<Listing<Variable, number>> {
    return Listing.of(async (offset, pinned: number | undefined = version) => {
      const query = { ...only, version: pinned, offset, limit: pageSize };
      const { variables: entries, ...page } = await data(this.#api.GET("/v1/variables", { params: { query } }));
      return { entries, ...page };
    });
  }

  /** Versions of the list of variables, newest first. */
  async variableVersions(): Promise<Version[]> {
    return (await data(this.#api.GET("/v1/variables/versions"))).versions;
  }

  /** Units that the node knows, without prefixes. The version is that of UCUM. */
  async units({ pageSize = PAGE, ...only }: { system?: string; code?: string } & Paged = {}): Promise<Listing<Unit, string>> {
    return Listing.of(async (offset) => {
      const query = { ...only, offset, limit: pageSize };
      const { units: entries, ...page } = await data(this.#api.GET("/v1/units", { params: { query } }));
      return { entries, ...page };
    });
  }

  /** The site's maps of its own codes; of the newest version by default, which is 0 if there is none. */
  async codes({ pageSize = PAGE, version, ...only }: { vocabulary?: string; version?: number } & Paged = {}): Promise<Listing<CodeEntry, number>> {
    return Listing.of(async (offset, pinned: number | undefined = version) => {
      const query = { ...only, version: pinned, offset, limit: pageSize };
      const { codes: entries, ...page } = await data(this.#api.GET("/v1/codes", { params: { query } }));
      return { entries, ...page };
    });
  }

  /** Versions of the maps, newest first. */
  async codeVersions(): Promise<Version[]> {
    return (await data(this.#api.GET("/v1/codes/versions"))).versions;
  }

  /** Codes without a standard concept in what is stored, by frequency. */
  async *unmappedCodes({ pageSize = PAGE }: Paged = {}): AsyncGenerator<UnmappedCode> {
    for (let seen = 0; ; ) {
      const { codes, total } = await data(this.#api.GET("/v1/codes/unmapped", { params: { query: { offset: seen, limit: pageSize } } }));
      yield* codes;
      seen += codes.length;
      if (codes.length === 0 || seen >= total) return;
    }
  }

  // What is stored

  /** What the node has time series of. */
  async series(only: { system?: string; code?: string } = {}): Promise<Series[]> {
    return (await data(this.#api.GET("/v1/series", { params: { query: only } }))).series;
  }

  /** The last data quality report. */
  async quality(): Promise<QualityReport> {
    return data(this.#api.GET("/v1/quality"));
  }

  /** Makes a data quality report, which takes seconds to minutes. */
  async runQuality(): Promise<QualityReport> {
    return data(this.#api.POST("/v1/quality/runs"));
  }

  /** The data quality report of a load. */
  async jobReport(jobId: string): Promise<LoadReport> {
    return data(this.#api.GET("/v1/ingest/jobs/{id}/report", { params: { path: { id: jobId } } }));
  }

  /** How the node stands. */
  async status(): Promise<Status> {
    return data(this.#api.GET("/v1/status"));
  }
}

/** The body of an answer; a refusal was thrown before. */
async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  try {
    const { data } = await answer;
    if (data !== undefined) return data;
  } catch (err) {
    if (!(err instanceof SyntaxError)) throw err;
  }
  throw new TrialmeshError("the node's answer is no JSON: is the URL that of a node?");
}

/** The observations as JSON, as many together as one request may have. */
async function* batches(observations: Iterable<Observation> | AsyncIterable<Observation>): AsyncGenerator<string[]> {
  let batch: string[] = [];
  let size = 0;
  for await (const one of observations) {
    const text = JSON.stringify(one);
    if (batch.length > 0 && size + text.length > BATCH) {
      yield batch;
      [batch, size] = [[], 0];
    }
    batch.push(text);
    size += text.length + 1;
  }
  if (batch.length > 0) yield batch;
}
