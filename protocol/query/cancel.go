package query

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// KindCancellation is the kind of a signed [Cancellation].
const KindCancellation message.Kind = "query.cancellation"

// MaxReason bounds the reason of a cancellation, in bytes.
const MaxReason = 500

// Cancellation takes an open question back. Its signer is the researcher who asked, or the
// sponsor of the trial.
type Cancellation struct {
	Query ID `json:"query"`

	// Reason says why, in words. It is public.
	Reason string `json:"reason,omitempty"`
}

// Cancel is the body of [StepCancel]: the signed [Cancellation], and the question and the
// trial, which show that its signer may say so.
type Cancel struct {
	Cancellation message.Envelope   `json:"cancellation"`
	Request      message.Envelope   `json:"request"`
	Trial        trial.Registration `json:"trial"`
}

// Why a cancellation does not count.
var (
	ErrCanceller    = problem.Refusal("query.canceller", "a question is cancelled by the researcher who asked it, or by the sponsor of its trial")
	ErrCancelsOther = problem.Refusal("query.cancels-other", "the cancellation is of another question, or the question of another trial")
	errReason       = problem.New(problem.Invalid, fmt.Sprintf("query: reason: at most %d bytes", MaxReason))
)

// Check refuses what does not cancel the question: signer must be who signed the request,
// or who signed the design of the trial.
func (c Cancellation) Check(signer identity.DID, request, design message.Envelope) error {
	switch {
	case c.Query != request.Digest():
		return ErrCancelsOther
	case signer != request.Issuer && signer != design.Issuer:
		return ErrCanceller
	case len(c.Reason) > MaxReason:
		return errReason
	}
	return nil
}

// Open checks that the question is cancelled, by one who may, and returns who that is. The
// time of the signature does not matter: the question ended when the hub recorded it.
func (c Cancel) Open() (identity.DID, error) {
	request, err := message.Replay[Request](c.Request, KindRequest)
	if err != nil {
		return "", err
	}
	design, err := c.Trial.Open()
	if err != nil {
		return "", err
	}
	if design.ID != request.Trial {
		return "", ErrCancelsOther
	}
	cancellation, err := message.Replay[Cancellation](c.Cancellation, KindCancellation)
	if err != nil {
		return "", err
	}
	return c.Cancellation.Issuer, cancellation.Check(c.Cancellation.Issuer, c.Request, c.Trial.Design)
}
