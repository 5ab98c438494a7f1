// Package evm puts what the public must be able to check on an EVM chain: checkpoints of the
// hub's ledger, consent roots, zero-knowledge access proofs and enrollments, and who may say so.
//
// Start from [Deploy], which puts the contracts of the folder contracts on a chain once and
// records where, and from [Dial], whose [Client] writes and reads them over JSON-RPC. Every write
// is safe to repeat: what is on the chain already counts as done, and the receipt is that of the
// transaction that did it. Every wait has a limit. [ErrUnreachable], [ErrPending],
// [ErrDisagree] and [ErrSigner] mean "call again"; all other errors mean that calling again will not help.
//
// A client believes what its endpoint says about the chain, or what two of them agree on
// (Config.Check): it is no light client. Whoever has to be certain asks a node of their own. The package makes no proofs and knows no circuit; a
// verifying key reaches it as words ([KeyWords]), a proof as 256 bytes, a public input as 32.
//
// It is the only package that imports go-ethereum; [Address] and [Hash] are aliases, so that
// callers need not.
package evm
