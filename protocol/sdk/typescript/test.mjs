// Compiles the client, its tests and the examples of README.md, checks that the committed
// types are what the OpenAPI document gives, and runs the tests. Those that need a node
// find it by TRIALMESH_URL and TRIALMESH_TOKEN.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

process.chdir(import.meta.dirname);
const bin = (name) => `node_modules/.bin/${name}`;

function run(program, ...args) {
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

rmSync("dist", { recursive: true, force: true });
rmSync("examples", { recursive: true, force: true });
mkdirSync("examples");
for (const file of ["README.md", "../../../deploy/docs/sdk.md"]) {
  for (const [i, [, code]] of [...readFileSync(file, "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
    writeFileSync(`examples/${file.match(/(\w+)\.md/)[1].toLowerCase()}-${i + 1}.ts`, code);
  }
}
run(bin("tsc"));
const [generate, ...options] = JSON.parse(readFileSync("package.json", "utf8")).scripts.generate.split(" ");
run(bin(generate), ...options, "--check");
for (const name of readdirSync("dist/test").filter((name) => name.endsWith(".test.js"))) {
  await import(`./dist/test/${name}`);
}
