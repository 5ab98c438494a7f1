// Package evidence checks an answer from public data alone.
//
// It trusts the keys in a [Trust] document and nothing else: what a hub says
// about a question counts only as far as its log, the documents the log names,
// the signatures on them, the proofs in them and the chain bear it out. Start
// from [VerifyLedger] and [VerifyQuery]; both read a [Source], which is a hub
// ([NewRemote]) or a directory ([NewDir]) that [Export] wrote, and give a
// [Report] with one [Check] for each thing that was looked at.
//
// Facts are found in log entries and the documents they name by digest, never
// in the hub's query API. What is proven is consent and the least number of
// records; the sums themselves rest on the nodes' word, and the report says so.
//
// [Proofs] is the part that the hub's own state machine uses as well, so that
// hub and regulator judge alike.
package evidence
