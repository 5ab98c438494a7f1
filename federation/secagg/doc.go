// Package secagg adds vectors of many members so that the hub in the middle
// learns the sum and nothing else, also if members drop out on the way.
//
// A [Session] says what is summed and among whom. Each site is a [Member] and
// answers three rounds: Advertise, Mask, Unmask; and Confirm before Unmask if one
// that advertised sent no vector. The hub makes a [Roster] of the advertisements
// ([NewRoster]), sorts the shares that come with the vectors into inboxes
// ([Inboxes]), and in the end calls [Sum]. Vectors are words modulo 2^64; what
// they mean is the caller's business.
//
// The hub may lie, but not together with members; DESIGN.md says how many
// colluding members each threshold bears. Members are trusted to send honest
// vectors. The package does no I/O: the caller carries the messages over
// authenticated streams and gives each member a durable [Guard].
//
// After Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving
// Machine Learning", CCS 2017, the variant for active adversaries, with signed
// keys and the consistency check; DESIGN.md says what is otherwise and why that is
// safe. testdata/vectors.json fixes every byte.
package secagg
