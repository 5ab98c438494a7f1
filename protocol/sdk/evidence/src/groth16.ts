// Groth16 over BN254, verified by snarkjs: this file only changes the form of keys and proofs.

import { groth16 } from "snarkjs";
import { number } from "./bytes.js";
import { order } from "./hash.js";

/** The order of the field of coordinates. */
const prime = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;

type G1 = [string, string, string];
type G2 = [[string, string], [string, string], [string, string]];

/** Points reads uncompressed points. */
class Points {
  #at = 0;
  constructor(readonly raw: Uint8Array) {}

  get left(): number {
    return this.raw.length - this.#at;
  }

  #coordinate(): string {
    if (this.left < 32) throw new Error("a point is cut off");
    const x = number(this.raw.subarray(this.#at, this.#at + 32));
    if (x >= prime) throw new Error("a coordinate is not reduced");
    this.#at += 32;
    return String(x);
  }

  g1(): G1 {
    return this.#point([this.#coordinate(), this.#coordinate(), "1"]);
  }

  /** g2 reads imaginary parts first. */
  g2(): G2 {
    const [x1, x0, y1, y0] = [this.#coordinate(), this.#coordinate(), this.#coordinate(), this.#coordinate()];
    return this.#point([[x0, x1], [y0, y1], ["1", "0"]]);
  }

  /** No key or proof of ours has the zero of a group, which is written (0, 0). */
  #point<P extends G1 | G2>(point: P): P {
    if (point.slice(0, 2).flat().every((x) => x === "0")) throw new Error("a point is zero");
    return point;
  }
}

/** The generator of the second group. With it as delta anybody could forge: its setup was never finished. */
const generator: G2 = [
  [
    "10857046999023057135944570762232829481370756359578518086990519993285655852781",
    "11559732032986387107991004021392285783925812861821192530917403151452391805634",
  ],
  [
    "8495653923123431417604973247489272438418190587263600148770280649306958101930",
    "4082367875863433681332203403145435568316851327593401208105741076214120093531",
  ],
  ["1", "0"],
];

/** verify reports whether a proof of 256 bytes holds for the public inputs under a key's words. */
export async function verify(key: Uint8Array, inputs: bigint[], proof: Uint8Array): Promise<boolean> {
  const k = new Points(key);
  const [alpha, beta, gamma, delta] = [k.g1(), k.g2(), k.g2(), k.g2()];
  const written = String(delta);
  if (written === String(generator) || written === String(gamma)) throw new Error("the key's setup was never finished");
  const points: G1[] = [];
  while (k.left > 0) points.push(k.g1());
  if (points.length !== inputs.length + 1) throw new Error("the key is of a circuit with other public inputs");
  if (inputs.some((x) => x < 0n || x >= order)) throw new Error("a public input is not reduced");
  const p = new Points(proof);
  const [a, b, c] = [p.g1(), p.g2(), p.g1()];
  if (p.left > 0) throw new Error("the proof is too long");
  const form = { protocol: "groth16", curve: "bn128" };
  return groth16.verify(
    { ...form, nPublic: inputs.length, vk_alpha_1: alpha, vk_beta_2: beta, vk_gamma_2: gamma, vk_delta_2: delta, IC: points },
    inputs.map(String),
    { ...form, pi_a: a, pi_b: b, pi_c: c },
  );
}
