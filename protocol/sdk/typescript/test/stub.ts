// A server that answers as a test tells it.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";

export interface Asked {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Answer = [status: number, headers: Record<string, string>, body: string];

/**
 * Serves the answers in turn, the last one again and again; null hangs up. Returns the
 * URL and what was asked.
 */
export async function serving(t: TestContext, ...answers: (Answer | null | ((asked: Asked) => Answer))[]): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    let given = answers[Math.min(asked.length, answers.length - 1)] ?? null;
    const one = { method: request.method ?? "", path: request.url ?? "", headers: request.headers, body };
    asked.push(one);
    if (typeof given === "function") given = given(one);
    if (given === null) {
      request.socket.destroy();
      return;
    }
    const [status, headers, content] = given;
    response.writeHead(status, headers).end(content);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}
