// Who a client is: a token of the node, or a registered client that gets tokens by OAuth.

import { NetworkError, OAuthError, TrialmeshError } from "./errors.js";
import { type Algorithm, algorithmOf, type PrivateJWK, sign } from "./keys.js";
import { checkedURL, type Transport } from "./transport.js";

const DISCOVERY = "/fhir/.well-known/smart-configuration";
const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const LIFE = 240; // seconds that a signed assertion holds; servers take at most 300
const SPARE = 30; // seconds before its end at which a token is renewed
const TIMEOUT = 60_000; // milliseconds

/** What a client shows the node. */
export interface Auth {
  /** The bearer token for the node at a URL. */
  token(transport: Transport, url: string): Promise<string>;

  /** Forgets a token that was refused; false if there will be no other. */
  renew(): boolean;
}

/** A token in the form of RFC 6750, as a file has it. The error does not repeat it. */
function checkedToken(token: unknown): string {
  const trimmed = typeof token === "string" ? token.trim() : "";
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(trimmed)) throw new TypeError("the token is not of the form of a bearer token");
  return trimmed;
}

/** A token that stays, such as the one in the node's directory. */
export class Bearer implements Auth {
  readonly #token: string;

  constructor(token: string) {
    this.#token = checkedToken(token);
  }

  async token(): Promise<string> {
    return this.#token;
  }

  renew(): boolean {
    return false;
  }
}

/**
 * A client that is registered at the node (SMART Backend Services).
 *
 * `key` is a private JWK with its `kid`, of EC on P-384 (ES384) or RSA (RS384), whose public half the
 * node knows; `scope` is what the client asks for, between spaces.
 */
export class BackendService implements Auth {
  readonly clientId: string;
  readonly #key: PrivateJWK;
  readonly #algorithm: Algorithm;
  readonly #scope: string;
  #given: Promise<{ token: string; until: number }> | undefined;

  constructor({ clientId, key, scope }: { clientId: string; key: PrivateJWK; scope: string }) {
    this.clientId = clientId;
    this.#algorithm = algorithmOf(key);
    this.#key = key;
    this.#scope = scope;
  }

  async token(transport: Transport, url: string): Promise<string> {
    const fetching = (this.#given ??= this.#fetch(transport, url));
    try {
      const { token, until } = await fetching;
      if (performance.now() < until) return token;
    } catch (err) {
      if (this.#given === fetching) this.#given = undefined;
      throw err;
    }
    if (this.#given === fetching) this.#given = undefined;
    return this.token(transport, url);
  }

  renew(): boolean {
    this.#given = undefined;
    return true;
  }

  async #fetch(transport: Transport, url: string): Promise<{ token: string; until: number }> {
    const endpoint = await discover(transport, url);
    const form = new URLSearchParams({
      grant_type: "client_credentials",
      scope: this.#scope,
      client_assertion_type: ASSERTION,
      client_assertion: await this.#assertion(endpoint),
    });
    const headers = new Headers({ "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" });
    const answer = await transport.exchange(endpoint, { method: "POST", headers, body: form.toString(), timeout: TIMEOUT }).catch((err) => {
      if (!(err instanceof NetworkError)) throw err;
      const { message, cause, attempts } = err;
      throw new NetworkError(`${message}; this address comes from the node, whose setting url gives it`, { cause, attempts });
    });
    if (answer.status !== 200) throw await OAuthError.of(answer);
    try {
      const given = (await answer.json()) as { access_token: unknown; expires_in?: unknown };
      const life = typeof given.expires_in === "number" ? given.expires_in : 60;
      return { token: checkedToken(given.access_token), until: performance.now() + 1000 * Math.max(life - SPARE, life / 2) };
    } catch {
      throw new TrialmeshError("the authorization server's answer holds no token");
    }
  }

  /** A JWT that says who asks (RFC 7523). */
  async #assertion(endpoint: string): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const header = { alg: this.#algorithm.jws, kid: this.#key.kid, typ: "JWT" };
    const claims = { iss: this.clientId, sub: this.clientId, aud: endpoint, iat: now, exp: now + LIFE, jti: crypto.randomUUID() };
    const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const signature = await sign(this.#key, this.#algorithm, Buffer.from(signed));
    return `${signed}.${Buffer.from(signature).toString("base64url")}`;
  }
}

/** Where tokens are given. */
async function discover(transport: Transport, url: string): Promise<string> {
  const headers = new Headers({ Accept: "application/json" });
  const answer = await transport.exchange(url + DISCOVERY, { method: "GET", headers, timeout: TIMEOUT });
  if (answer.status !== 200) throw await OAuthError.of(answer);
  try {
    return checkedURL(((await answer.json()) as { token_endpoint: string }).token_endpoint);
  } catch {
    throw new TrialmeshError("the node's smart-configuration names no token endpoint that may be used");
  }
}
