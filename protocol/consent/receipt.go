package consent

import (
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Receipt is what a participant keeps of their consent, to follow it on the ledger without
// telling anybody who they are. Whoever else has it can do so too.
type Receipt struct {
	Trial       trial.ID     `json:"trial"`
	Node        identity.DID `json:"node"`
	Participant identity.DID `json:"participant"`

	// Index is the participant's leaf in the node's tree, and Secret opens it.
	Index  int        `json:"index"`
	Secret LeafSecret `json:"secret"`

	// Person is the secret by which the leaf names the participant from when they enrolled
	// on, zero before. Whoever else has it can tell which trials they enrolled in.
	Person Element `json:"person,omitzero"`

	// Said is what the participant signed, in the order in which the node took it. Leaves
	// state one after the other of it; some may have been overtaken by the next.
	Said []message.Envelope `json:"said"`

	// LedgerIndex is the entry with the change by which the leaf states the last of it, -1
	// while that is not on the ledger.
	LedgerIndex int64 `json:"ledgerIndex"`
}

// Statement is what a leaf says once a message counts.
type Statement struct {
	Said      message.Digest
	Grant     Grant
	Withdrawn bool
}

// ErrReceipt reports a receipt whose messages are not the participant's about this trial
// and node, or do not follow each other.
var ErrReceipt = problem.New(problem.Invalid, "receipt: it must hold what the participant signed for its trial and node, a grant first")

// Statements returns what the leaf says after each message. Messages need not be valid any
// more, but they must be the participant's.
func (r Receipt) Statements() ([]Statement, error) {
	var list []Statement
	for _, e := range r.Said {
		s := Statement{Said: e.Digest()}
		if len(list) > 0 {
			s.Grant = list[len(list)-1].Grant
		}
		var id trial.ID
		var node identity.DID
		var err error
		switch e.Kind {
		case KindGrant:
			s.Grant, err = message.Replay[Grant](e, e.Kind)
			id, node = s.Grant.Trial, s.Grant.Node
		case KindWithdrawal:
			var w Withdrawal
			w, err = message.Replay[Withdrawal](e, e.Kind)
			id, node, s.Withdrawn = w.Trial, w.Node, true
		case KindRefusal:
			var refusal Refusal
			refusal, err = message.Replay[Refusal](e, e.Kind)
			id, node, s.Withdrawn = refusal.Trial, refusal.Node, true
		default:
			err = ErrReceipt
		}
		if err != nil {
			return nil, err
		}
		if e.Issuer != r.Participant || id != r.Trial || node != r.Node || len(list) == 0 && s.Withdrawn {
			return nil, ErrReceipt
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, ErrReceipt
	}
	return list, nil
}
