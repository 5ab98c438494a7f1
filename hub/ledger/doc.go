// Package ledger keeps the hub's public append-only log and lets anyone check it.
//
// The writing half works inside the caller's SQL transaction: [Append] adds
// entries, [Root], [ProveInclusion] and [ProveConsistency] read the tree, and
// [AddCheckpoint] stores what the log's key and its cosigners signed (see
// federation/cosign). It reads no clock and no randomness, so every replica that
// applies the same commands holds the same log.
//
// The reading half trusts nothing but keys. A [Source] gives the public files,
// from this database ([NewPublished]), a directory ([Dir]) or a web server
// ([NewHTTPSource]); [Verify] checks all of them and names what is damaged;
// [Open] gives single entries, each proven; a [Receipt] proves one entry offline.
//
// Entries are opaque bytes here; protocol/ledger says what is in them. Hashes are
// those of RFC 6962, files and paths those of C2SP tlog-tiles and receipts C2SP
// tlog-proof v1, so ordinary transparency-log tools read this log.
package ledger
