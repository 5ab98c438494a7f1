// Compiles Solidity sources with the pinned solc and writes one artifact a contract:
// its ABI, its creation bytecode and the SHA-256 of every source of the build.
//
//   node build.mjs [outdir [source.sol ...]]
//
// Defaults: artifacts, and every *.sol beside this script. The output depends on
// nothing but the sources and the compiler: no paths, no metadata hash, sorted keys.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const outdir = process.argv[2] ?? join(here, "artifacts");
const files = process.argv.length > 3
  ? process.argv.slice(3)
  : readdirSync(here).filter((name) => name.endsWith(".sol")).sort().map((name) => join(here, name));

const sources = {};
const digests = {};
for (const file of files) {
  const content = readFileSync(file);
  sources[basename(file)] = { content: content.toString("utf8") };
  digests[basename(file)] = createHash("sha256").update(content).digest("hex");
}

const output = JSON.parse(solc.compile(JSON.stringify({
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 20000 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
})));
for (const problem of output.errors ?? []) {
  process.stderr.write(problem.formattedMessage);
}
// A warning fails the build as an error does: nobody reads a warning twice.
if ((output.errors ?? []).some((problem) => problem.severity !== "info")) {
  process.exit(1);
}

mkdirSync(outdir, { recursive: true });
for (const stale of readdirSync(outdir).filter((name) => name.endsWith(".json"))) {
  rmSync(join(outdir, stale));
}
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    const bytecode = contract.evm.bytecode.object;
    if (bytecode === "" || contract.abi.length === 0) continue; // abstract contract, interface or library
    const artifact = { contract: name, compiler: solc.version(), sources: digests, abi: contract.abi, bytecode };
    writeFileSync(join(outdir, `${name}.json`), JSON.stringify(artifact, null, 2) + "\n");
  }
}
