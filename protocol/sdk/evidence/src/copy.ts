// The files of a copy, as trialmesh verify export writes them.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { unzipSync } from "fflate";

/** Files are those of a copy by their path, with forward slashes. */
export type Files = Map<string, Uint8Array>;

/** The most that a copy may have, in bytes unpacked. */
const limit = 1 << 30;

/** readCopy reads a zip file or a folder. */
export async function readCopy(path: string): Promise<Files> {
  if (!(await stat(path)).isDirectory()) return unpack(await readFile(path));
  const files: Files = new Map();
  let total = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    total += (await stat(file)).size;
    if (total > limit) throw new Error("the copy is larger than any evidence");
    files.set(file.slice(join(path, "/").length).replaceAll("\\", "/"), await readFile(file));
  }
  return files;
}

/** unpack reads a zip file. */
export function unpack(archive: Uint8Array): Files {
  let total = 0;
  const files = unzipSync(archive, {
    filter: ({ originalSize }) => {
      total += originalSize;
      if (total > limit) throw new Error("the copy is larger than any evidence");
      return true;
    },
  });
  return new Map(Object.entries(files).filter(([name]) => !name.endsWith("/")));
}
