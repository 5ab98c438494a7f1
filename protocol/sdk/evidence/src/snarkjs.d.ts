// What is used of snarkjs, which has no types of its own.
declare module "snarkjs" {
  export const groth16: {
    verify(key: object, publicSignals: string[], proof: object): Promise<boolean>;
  };
}
