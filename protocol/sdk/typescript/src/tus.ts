// Files that go to the node bit by bit, by tus 1.0.0 (https://tus.io).

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import type { Upload } from "./api.js";
import { type Caller, quoted } from "./caller.js";
import { FileChangedError, ProblemError, TrialmeshError } from "./errors.js";

export const UPLOADS = "/v1/ingest/uploads";
export const TUS = { "Tus-Resumable": "1.0.0" };

/** A path, or content that is in memory or behind a Blob. */
export type File = string | Blob;

export type Progress = (sent: number, size: number) => void;

interface Source {
  name: string;
  size: number;
  from(offset: number): AsyncIterable<Uint8Array>;
}

async function sourceOf(file: File): Promise<Source> {
  if (typeof file !== "string") {
    return { name: "file", size: file.size, from: (offset) => file.slice(offset).stream() as unknown as AsyncIterable<Uint8Array> };
  }
  const { size } = await stat(file);
  return { name: basename(file), size, from: (start) => createReadStream(file, { start, end: size - 1, highWaterMark: 256 << 10 }) };
}

/** Makes room for a file and returns the upload's id. */
export async function create(caller: Caller, file: File, name: string | undefined, key: string): Promise<string> {
  const source = await sourceOf(file);
  const headers = {
    ...TUS,
    "Upload-Length": String(source.size),
    "Upload-Metadata": `filename ${Buffer.from(name ?? source.name).toString("base64")}`,
    "Idempotency-Key": quoted(key),
  };
  const answer = await caller.request(UPLOADS, { method: "POST", headers });
  return answer.headers.get("Location")?.split("/").at(-1) ?? "";
}

/**
 * Sends what the node does not have of a file yet. When the connection breaks it asks how
 * much came and goes on there; it gives up after as many failures in a row without
 * progress as the caller makes attempts.
 */
export async function finish(caller: Caller, upload: string, file: File, progress?: Progress): Promise<Upload> {
  const path = `${UPLOADS}/${upload}`;
  const source = await sourceOf(file);
  for (let failures = 0, before = -1; ; ) {
    let answer = await caller.request(path, { method: "HEAD", headers: TUS });
    const offset = number(answer, "Upload-Offset");
    if (number(answer, "Upload-Length") !== source.size) {
      throw new FileChangedError("the file is not as long as the upload that is to go on");
    }
    let done = loaded(answer);
    if (done !== undefined) return done;
    if (offset > before) [failures, before] = [0, offset];
    const headers = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    const rest = new Rest(source, offset, progress);
    try {
      answer = await caller.once(path, { method: "PATCH", headers, body: rest.stream });
    } catch (err) {
      if (rest.failure !== undefined) throw rest.failure.error;
      failures++;
      const expired = err instanceof ProblemError && err.status === 401 && failures === 1; // HEAD renews the token
      if (!expired) await caller.waitAfter(err, failures, true);
      continue;
    }
    done = loaded(answer);
    if (done === undefined) throw new TrialmeshError("the node's answer names no job of an upload that is whole");
    return done;
  }
}

/** What became of an upload, undefined while something is missing. */
function loaded({ headers }: Response): Upload | undefined {
  const [fileId, jobId] = [headers.get("Trialmesh-File"), headers.get("Trialmesh-Job")];
  return fileId && jobId ? { fileId, jobId } : undefined;
}

function number({ headers }: Response, name: string): number {
  const text = headers.get(name) ?? "";
  if (!/^\d+$/.test(text)) throw new TrialmeshError(`the node's answer has no ${name}: is the URL that of a node?`);
  return Number(text);
}

/** A file from an offset to its end, which tells how far it was read. */
class Rest {
  readonly stream: ReadableStream<Uint8Array>;
  failure?: { error: unknown }; // of reading, and not of the connection

  constructor(source: Source, offset: number, progress?: Progress) {
    this.stream = Readable.toWeb(Readable.from(this.#read(source, offset, progress))) as ReadableStream<Uint8Array>;
  }

  async *#read(source: Source, offset: number, progress?: Progress): AsyncGenerator<Uint8Array> {
    try {
      let at = offset;
      for await (const piece of source.from(offset)) {
        at += piece.length;
        yield piece;
        progress?.(at, source.size);
      }
      if (at < source.size) throw new FileChangedError("the file has become shorter while it was sent");
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}
