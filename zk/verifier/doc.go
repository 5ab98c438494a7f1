// Package verifier checks proofs of zk/circuits against a verifying key.
//
// A [Key] is small, public and enough: nothing here needs a proving key or a
// witness. [Key.VerifyEpoch] and its like, one a circuit, take the statement as
// the caller recomputed it from the ledger, never as the prover wrote it down.
// [Key.ExportSnarkJS] writes key, statement and proof for an unrelated program,
// so that a regulator need not trust this one.
//
// A key travels as the words that verifier contracts take: alpha, beta, gamma,
// delta and one point for each public input, uncompressed, 32 bytes big-endian a
// coordinate, imaginary parts first. A valid key does not say who made it or
// whether they kept the secret of its setup: the ledger does.
package verifier
