package approval

import (
	"fmt"
	"io"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// KindVerdict is the kind of a person's signed verdict.
const KindVerdict message.Kind = "node.verdict"

// Verdict is what a person of the site says about a question at a gate. It is
// for that question under that policy, and for nothing else.
type Verdict struct {
	// Approval names the request for approval: the digest over node, question,
	// gate, policy, disclosure limits and numbers.
	Approval message.Digest `json:"approval"`

	Node   identity.DID   `json:"node"`
	Query  query.ID       `json:"query"`
	Gate   Gate           `json:"gate"`
	Policy message.Digest `json:"policy"`

	// Numbers is the digest of the released numbers at the gate before the release.
	Numbers message.Digest `json:"numbers"`

	Approve bool `json:"approve"`

	// Reason is why, for the site's own records, up to 500 bytes.
	Reason string `json:"reason"`

	// Public is what the researcher may read of a refusal, up to 200 bytes.
	Public string `json:"public,omitempty"`
}

// Limits of a verdict.
const (
	MaxReason = 500 // bytes
	MaxPublic = 200 // bytes

	verdictLife = time.Hour // for it to reach the node
)

// Validate reports what is wrong with the words of a verdict.
func (v Verdict) Validate() error {
	switch {
	case v.Reason == "" || len(v.Reason) > MaxReason || !sentence(v.Reason):
		return problem.New(problem.Invalid, fmt.Sprintf("approval: reason: one line of 1 to %d bytes", MaxReason))
	case len(v.Public) > MaxPublic || !sentence(v.Public):
		return problem.New(problem.Invalid, fmt.Sprintf("approval: public sentence: one line of up to %d bytes", MaxPublic))
	case v.Approve && v.Public != "":
		return problem.New(problem.Invalid, "approval: only a refusal has a sentence for the researcher")
	}
	return nil
}

// Sign returns the verdict signed by an approver.
func Sign(key identity.Key, v Verdict, now time.Time, rand io.Reader) (message.Envelope, error) {
	if err := v.Validate(); err != nil {
		return message.Envelope{}, err
	}
	return message.Seal(key, KindVerdict, v, now, verdictLife, rand)
}

// sentence reports whether text is one line that can be shown on a terminal.
func sentence(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
