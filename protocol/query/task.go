package query

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// TaskProtocol is the name under which nodes take tasks: a [Task] in, an
// envelope of an [Answer] out.
const TaskProtocol = "/trialmesh/task/1"

// Step is one exchange between hub and node on the way to an answer. Every
// step is idempotent: the same task gets the same answer.
type Step string

// The steps, in order, with what goes to the node and what comes back. A raw
// body is a message of federation/secagg.
const (
	StepAsk     Step = "ask"     // Ask → Accept, or a refusal
	StepMask    Step = "mask"    // Round{Roster} → MaskedAnswer
	StepConfirm Step = "confirm" // Round{Roster, Survivors} → raw Confirmation; only if somebody on the roster is none
	StepUnmask  Step = "unmask"  // Round{…, Confirmations, Inbox} → raw Reveal
	StepProve   Step = "prove"   // nothing → envelope of Access

	// StepProveResult follows StepProve for a question with [ProofResult].
	StepProveResult Step = "prove-result" // nothing → envelope of Proved

	// StepWait is in place of StepAsk in the answer of a node whose people have
	// not decided yet: it has no body, and the question is to be brought again.
	StepWait Step = "wait"

	// StepAdvance opens a further round of a method in rounds, in place of StepAsk: it is
	// followed by the masking steps of that round.
	StepAdvance Step = "advance" // Advance → Advanced, or a refusal

	// StepCancel tells a node that the question was cancelled, whatever step it is at: no
	// other step is answered after it.
	StepCancel Step = "cancel" // Cancel → nothing
)

// In returns the step in a round of a method in rounds. The first has the plain names, so
// that a method of one sum knows nothing of rounds; the third asks for "mask/3".
func (s Step) In(round int) Step {
	if round <= 1 {
		return s
	}
	return s + "/" + Step(strconv.Itoa(round))
}

// Split returns the plain step and its round, 1 for a step without one. A step that
// [Step.In] does not give is its own, and unknown.
func (s Step) Split() (Step, int) {
	name, digits, _ := strings.Cut(string(s), "/")
	if round, err := strconv.Atoi(digits); err == nil && Step(name).In(round) == s {
		return Step(name), round
	}
	return s, 1
}

// KindAnswer is the kind of a node's signed answer to a task.
const KindAnswer message.Kind = "query.answer"

// Task is what the hub sends to a node.
type Task struct {
	Query ID              `json:"query"`
	Step  Step            `json:"step"`
	Body  json.RawMessage `json:"body,omitempty"`

	// Until comes with [StepAsk] from a hub that understands [StepWait] and
	// [Accept.Leave]: how long it brings the question again while a node waits
	// for its people. A node that gets none answers without either.
	Until *time.Time `json:"until,omitempty"`
}

// Answer is a node's reply to a task, signed as [KindAnswer].
type Answer struct {
	Query   ID                `json:"query"`
	Step    Step              `json:"step"` // the task's, or StepWait for StepAsk
	Body    json.RawMessage   `json:"body,omitempty"`
	Refusal *problem.Document `json:"refusal,omitempty"`
}

// Ask is the body of [StepAsk]: everything a node needs to judge the question
// by itself.
type Ask struct {
	Request message.Envelope   `json:"request"`
	Trial   trial.Registration `json:"trial"`

	// LedgerIndex is the question's leaf. A node answers under a consent epoch
	// whose leaf came before it.
	LedgerIndex int64 `json:"ledgerIndex"`

	// Hub may only make the rules stricter.
	Hub disclosure.Policy `json:"hub"`

	// Study is the signed study of a request that says it is a question of one.
	Study *message.Envelope `json:"study,omitempty"`
}

// Accept is a node's yes to [StepAsk].
type Accept struct {
	// Advertisement is the node's half of the key agreement for masking.
	Advertisement json.RawMessage `json:"advertisement"`

	// Policy is what the node will apply, the strictest of all.
	Policy disclosure.Policy `json:"policy"`

	// Epoch is the digest of the consent epoch the answer will be drawn under.
	Epoch message.Digest `json:"epoch"`

	// Leave says who let the question pass. Only for a hub that sets [Task.Until].
	Leave *Leave `json:"leave,omitempty"`
}

// Round is the body of the masking steps. It carries all that came before, so
// that a node needs no memory of its own to repeat a step. Raw messages are of
// federation/secagg.
type Round struct {
	Roster        json.RawMessage   `json:"roster"`
	Survivors     []identity.DID    `json:"survivors,omitempty"`
	Confirmations []json.RawMessage `json:"confirmations,omitempty"`
	Inbox         json.RawMessage   `json:"inbox,omitempty"`
}

// Advance is the body of [StepAdvance]: the state of the round, and all that it follows
// from. A node adds the earlier round up by itself and computes the state, so that nobody
// can have it sum at a state of their choice.
type Advance struct {
	// State is the round's, of the method in federation/analysis.
	State json.RawMessage `json:"state"`

	// Before is the node's StepUnmask of the round before, for one that did not get to it.
	Before Round `json:"before"`

	// Masked and Reveals are the nodes' signed answers to StepMask and StepUnmask of the
	// round before.
	Masked  []message.Envelope `json:"masked"`
	Reveals []message.Envelope `json:"reveals"`
}

// Advanced is a node's yes to [StepAdvance].
type Advanced struct {
	Advertisement json.RawMessage `json:"advertisement"` // as in [Accept]
}

// MaskedAnswer is a node's reply to [StepMask].
type MaskedAnswer struct {
	// Masked is the masked vector with what others need to unmask it, of federation/secagg.
	Masked json.RawMessage `json:"masked"`

	// Commitment fixes which records were used before anyone can ask for the proof. It is
	// zero in the rounds after the first, which use the same.
	Commitment Commitment `json:"commitment"`

	// Released is [Figures.Released] of a question with [ProofResult].
	Released *Commitment `json:"released,omitempty"`
}

// Missing names a node that did not answer, and where it stopped: at [StepWait]
// if nobody at the site had decided about the question in time.
type Missing struct {
	Node identity.DID `json:"node"`
	Step Step         `json:"step"`
}

// Refused names a node that refused, and the rule. One that is named by version.Rule was
// not asked: the question is of a version that it does not know.
type Refused struct {
	Node    identity.DID     `json:"node"`
	Problem problem.Document `json:"problem"`
}
