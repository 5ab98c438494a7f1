// Package cosign says who vouches for a state of the public log.
//
// A [Checkpoint] fixes the log, a signed one (a C2SP tlog-checkpoint) is a claim
// of its signers, and a [Trust] with its [Policy] (C2SP tlog-policy) says whose
// claims count and how many are needed. A [Cosigner] countersigns checkpoints for
// one organization (C2SP tlog-cosignature v1) and never two that contradict each
// other; it takes them as a C2SP tlog-witness does, from the log's own connection or
// over HTTP ([NewHandler]). An [Exchange] compares what different parties were shown, and a
// [Fork] is the evidence of two histories.
//
// It holds no entries and no tiles: hub/ledger does. It knows nothing of what
// entries mean.
package cosign
