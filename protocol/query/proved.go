package query

import (
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// ProofResult as [Request.Proof] asks each node to prove that its figures follow from columns
// that it committed to before, over exactly the records that are permitted.
const ProofResult = "result"

// KindProved is the kind of a node's signed [Proved].
const KindProved message.Kind = "query.proved"

// Figures fixes what a node's numbers in a sum were, for its [Proved] to be about.
type Figures struct {
	// Released is the salted digest of the figures. What opens it stays at the node.
	Released Commitment `json:"released"`

	// Rounding is the base to which the node rounds counts, of its policy.
	Rounding int `json:"rounding"`
}

// Proved is a node's proof that its figures follow from consents and committed columns: a
// cover, an aggregate a shard and a release, with what links them.
type Proved struct {
	Query ID           `json:"query"`
	Node  identity.DID `json:"node"`

	// Columns is the digest of the commitment, columns.Commitment.Digest.
	Columns message.Digest `json:"columns"`

	// Circuits are the SHA-256 of the verifying keys.
	Circuits ProvedBy `json:"circuits"`

	// Used and Totals are the commitments to the records used and to the totals, by shard.
	Used   []Commitment `json:"used"`
	Totals []Commitment `json:"totals"`

	// Withheld has bit i set if the node's figures leave out cell i.
	Withheld uint64 `json:"withheld,string"`

	Released Commitment `json:"released"` // as in [Figures]

	// The Groth16 proofs in Solidity layout, 256 bytes each; one aggregate a shard.
	Cover      []byte   `json:"cover"`
	Aggregates [][]byte `json:"aggregates"`
	Release    []byte   `json:"release"`
}

// ProvedBy names the circuits of a [Proved].
type ProvedBy struct {
	Cover     message.Digest `json:"cover"`
	Aggregate message.Digest `json:"aggregate"`
	Release   message.Digest `json:"release"`
}

// validateProof checks that a question whose figures are to be proved is of a kind whose
// figures are counts and sums over one data set.
func (r Request) validateProof() error {
	switch a := r.Analysis; {
	case r.Proof == "":
		return nil
	case r.Proof != ProofResult:
		return invalid(`proof: "result", or nothing: who was used is proved either way`)
	case r.Dataset == "":
		return invalid("proof: figures are proved over a data set that nodes committed to: name it under dataset, in place of a cohort")
	case !slices.Contains([]AnalysisKind{Count, Incidence, Prevalence, Describe}, a.Kind):
		return invalid("proof: figures of a count, an incidence, a prevalence or a description can be proved; leave proof out for others")
	case len(a.By) > 0:
		return invalid("analysis.by: proved figures are by the levels of a column of the data set; leave proof out, or ask for a prevalence by a column")
	case a.Describe != nil && a.Describe.Pairwise:
		return invalid("analysis.describe.pairwise: proved figures are of those who have all columns; leave it out, or proof")
	case slices.ContainsFunc(a.Columns, func(c Column) bool { return c.From != FromDataset || c.Dataset != r.Dataset }):
		return invalid("analysis.columns: proved figures are of columns of the data set that is asked about")
	}
	return nil
}
