// Package evidence checks an answer from public data alone.
//
// It trusts the keys in a trust document and nothing else: what a hub
// says about a question counts only as far as its log, the documents the log
// names, the signatures on them, the proofs in them and the chain bear it out.
package evidence
