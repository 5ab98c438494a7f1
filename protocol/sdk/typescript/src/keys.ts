// Keys of registered clients, as JSON Web Keys (RFC 7517).

import { createHash, type webcrypto } from "node:crypto";
import { TrialmeshError } from "./errors.js";

/** A private key with its name, of EC on P-384 or of RSA (RFC 7518, section 6). */
export type PrivateJWK = webcrypto.JsonWebKey & { kid: string };

/** How a kind of key signs. */
export interface Algorithm {
  jws: string;
  public: (keyof webcrypto.JsonWebKey)[]; // members of the key, in the order of RFC 7638
  private: (keyof webcrypto.JsonWebKey)[];
  parameters: { name: string; namedCurve?: string; hash: string }; // of WebCrypto
}

const ES384: Algorithm = {
  jws: "ES384",
  public: ["crv", "kty", "x", "y"],
  private: ["d"],
  parameters: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
};

const RS384: Algorithm = {
  jws: "RS384",
  public: ["e", "kty", "n"],
  private: ["d", "p", "q", "dp", "dq", "qi"],
  parameters: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" },
};

const NO_KEY = "the key is no private JWK of EC on P-384 or of RSA with a kid";

/** A new private key for ES384. Whoever has it is the client: keep it as a password. */
export async function newKey(): Promise<PrivateJWK> {
  const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, ["sign", "verify"]);
  const key = pick(await crypto.subtle.exportKey("jwk", privateKey), [...ES384.public, ...ES384.private]);
  const kid = createHash("sha256").update(JSON.stringify(pick(key, ES384.public))).digest("base64url"); // RFC 7638
  return { ...key, kid };
}

/** The JSON Web Key Set of the public halves, which the node is given. */
export function publicKeys(...keys: PrivateJWK[]): { keys: (webcrypto.JsonWebKey & { kid: string })[] } {
  return { keys: keys.map((key) => ({ kid: key.kid, ...pick(key, algorithmOf(key).public) })) };
}

export function algorithmOf(key: PrivateJWK): Algorithm {
  const algorithm = key.kty === "RSA" ? RS384 : ES384;
  const whole = key.kid && [...algorithm.public, ...algorithm.private].every((name) => typeof key[name] === "string");
  if (!whole || (algorithm === ES384 && (key.kty !== "EC" || key.crv !== "P-384"))) throw new TypeError(NO_KEY);
  return algorithm;
}

export async function sign(key: PrivateJWK, algorithm: Algorithm, message: Uint8Array): Promise<ArrayBuffer> {
  const { parameters } = algorithm;
  const jwk = pick(key, [...algorithm.public, ...algorithm.private]);
  const own = await crypto.subtle.importKey("jwk", jwk, parameters, false, ["sign"]).catch(() => {
    throw new TrialmeshError(NO_KEY); // and not what is wrong, which could repeat the key
  });
  return crypto.subtle.sign(parameters, own, message);
}

function pick(key: webcrypto.JsonWebKey, names: (keyof webcrypto.JsonWebKey)[]): webcrypto.JsonWebKey {
  return Object.fromEntries(names.map((name) => [name, key[name]]));
}
