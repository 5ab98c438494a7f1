// Compiles the verifier and its tests, and runs them.

import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";

process.chdir(import.meta.dirname);
rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync("node_modules/.bin/tsc", { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
for (const name of readdirSync("dist/test").filter((name) => name.endsWith(".test.js"))) {
  await import(`./dist/test/${name}`);
}
