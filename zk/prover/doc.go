// Package prover makes proofs of the circuits of zk/circuits.
//
// [DevelopmentKeys], [FromCeremony] or [CachedKeys] give the [Keys] of a circuit. [New] joins
// those about consents to a node's [Prover], [NewParticipant] those about one
// person or one parcel to a [Participant]. A proof is checked with the verifying
// key before it is handed out.
//
// A Groth16 key comes from a setup whose secret forges proofs. Keys made here
// on one machine therefore say "development" wherever they go. The proving key
// also guards the witness: a node uses only one whose digest it has from the
// ledger.
package prover
