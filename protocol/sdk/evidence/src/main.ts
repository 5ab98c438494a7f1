#!/usr/bin/env node
// trialmesh-evidence EVIDENCE TRUST: EVIDENCE is a folder or zip file of trialmesh verify export.
// Prints a line for each check, and ends with status 1 if one failed, 2 for a wrong call.

import { readFile } from "node:fs/promises";
import { parseTrust, readCopy, verifyQuestion } from "./index.js";

const [evidence, trust, ...more] = process.argv.slice(2);
if (!evidence || !trust || more.length > 0) {
  console.error("usage: trialmesh-evidence EVIDENCE TRUST");
  process.exit(2);
}
try {
  const report = await verifyQuestion(await readCopy(evidence), parseTrust(await readFile(trust)));
  for (const { name, subject, ok, skipped, detail } of report.checks) {
    console.log(`${ok ? "ok     " : skipped ? "skipped" : "FAILED "} ${name} ${subject}: ${skipped ?? detail}`);
  }
  console.log(`${report.checks.length} checks, ${report.failed.length} failed`);
  process.exit(report.failed.length > 0 ? 1 : 0); // snarkjs leaves threads behind
} catch (error) {
  console.error(`trialmesh-evidence: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
