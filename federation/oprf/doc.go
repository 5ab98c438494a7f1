// Package oprf lets one party compute a keyed function of values that it keeps
// to itself, with a key that another party keeps to itself.
//
// Whoever has values calls [Blind] and sends [Request.Elements]; the holder of
// the [Key] answers with [Key.Evaluate], which shows it nothing about the values;
// [Request.Finalize] turns the answer into an [Output] for each value. Equal
// values give equal outputs under one key, and without the key nobody can compute
// an output. In mode [Verifiable] the answer comes with a [Proof] that the key is
// that of the public key named beforehand, so the holder cannot tell parties
// apart by giving each another key.
//
// A key can be [Key.Split] among holders, of whom some number together evaluate as it
// would and fewer learn nothing: each answers with its share and a proof,
// [Request.FinalizeParts] combines the answers and names who lied.
//
// This is RFC 9497, suite ristretto255-SHA512, modes OPRF and VOPRF; the vectors of
// its appendix A.1 pass. The group is ristretto255 of RFC 9496 over
// filippo.io/edwards25519, which has no group of prime order itself. Work with
// secrets takes constant time; work with what the other party sees anyway need not.
//
// The package does no I/O. It does not limit how often a holder evaluates: the
// caller does, and DESIGN.md beside node/linkage says why it must.
package oprf
