// What the operator of a node does with the command trialmesh node client add.

import assert from "node:assert/strict";

/** Registers a client of the API with its public keys. */
export async function register(id: string, jwks: unknown, scope = "ingest jobs.read"): Promise<void> {
  const { TRIALMESH_URL: url, TRIALMESH_TOKEN: token } = process.env;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(`${url}/v1/clients`, { method: "POST", headers, body: JSON.stringify({ id, scope, jwks, tokenTime: 60 }) });
  assert.ok(answer.ok, await answer.text());
}
