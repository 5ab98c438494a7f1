// Package approval decides whether a question may run at this node and whether
// its numbers may leave: by the site's policy, and by the site's people where
// that asks for them.
//
// A [Policy] is a compiled bundle of Rego. A [Desk] asks it once about each
// question, keeps what it said with the digest of the bundle, and holds the
// requests for approval until a person has signed a [Verdict]. A verdict is for
// one question, at one gate, under one policy and the disclosure limits of that
// moment, and cannot be changed once the node has answered; under another policy
// or other limits the question is judged anew. All is on
// disk before anybody hears of it. What persons see of a question stays at the
// site; of a verdict only digests leave, and the sentence of a refusal that its
// signer wrote for the researcher.
package approval

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ErrWaiting says that a person of the site has to decide first: bring the
// question again. The question is on disk.
var ErrWaiting = problem.New(problem.Unavailable, "the question waits for approval at the site")

// Why a question is refused. A policy's refusal and a person's carry their
// sentence behind these.
var (
	ErrPolicy    = problem.Refusal("approval.policy", "the site's policy refuses the question")
	ErrNoPolicy  = problem.Refusal("approval.no-decision", "the site's policy came to no decision about the question; the site's log says why")
	ErrNobody    = problem.Refusal("approval.nobody", "the site's policy asks for a person's approval, and the site names nobody who may give it")
	ErrRefused   = problem.Refusal("approval.refused", "the site refuses the question")
	ErrCancelled = problem.Refusal("approval.cancelled", "the question was cancelled")
	errTakenBack = problem.New(problem.Unavailable, "the approval was taken back meanwhile")
)

// Why a verdict is not taken.
var (
	ErrUnknown   = problem.New(problem.NotFound, "no such request for approval")
	ErrAmbiguous = problem.New(problem.Conflict, "more than one request for approval begins like this; give more digits")
	ErrPrefix    = problem.New(problem.Invalid, "a request for approval is named by 8 to 64 hex digits")
	ErrApprover  = &problem.Error{Kind: problem.Forbidden, Rule: "approval.approver", Public: "the verdict's signer is not one of the site's approvers"}
	ErrOwn       = &problem.Error{Kind: problem.Forbidden, Rule: "approval.own", Public: "who asks a question does not decide about it"}
	ErrOther     = &problem.Error{Kind: problem.Conflict, Rule: "approval.other", Public: "the verdict is about another question, gate, policy or other numbers"}
	ErrOldPolicy = &problem.Error{Kind: problem.Conflict, Rule: "approval.old-policy", Public: "the node's policy has changed since; the question is judged anew when the hub brings it again"}
	ErrOver      = &problem.Error{Kind: problem.Conflict, Rule: "approval.over", Public: "the hub waits no longer for this question: it went on without the site, or the question was cancelled"}
	ErrApproved  = &problem.Error{Kind: problem.Conflict, Rule: "approval.approved", Public: "the question was approved already, and one approval is enough: until the node has answered, a refusal takes it back"}
	ErrStands    = &problem.Error{Kind: problem.Conflict, Rule: "approval.refused-already", Public: "the question was refused already, and a refusal stands: if the researcher asks again, that is decided anew"}
	ErrDecided   = &problem.Error{Kind: problem.Conflict, Rule: "approval.decided", Public: "the node has answered by the verdict that was given, which can no longer be changed"}
)

// Config configures a [Desk]. DB, Node, Policy and Trail are required.
type Config struct {
	DB     *sqldb.DB
	Node   identity.DID
	Policy *Policy
	Trail  *audit.Trail

	// Approvers may decide about questions. Defaults to nobody.
	Approvers []identity.DID

	// Names are told to the policy. Defaults to none.
	Names Names

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

//go:embed migrations
var migrations embed.FS

// Desk is where questions are decided about. It is safe for concurrent use, also
// by several processes on one database.
type Desk struct{ cfg Config }

// Open brings the desk's tables up to date and returns the desk.
func Open(ctx context.Context, cfg Config) (*Desk, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DB == nil || cfg.Policy == nil || cfg.Trail == nil || cfg.Node == "" {
		return nil, errors.New("approval: database, node, policy and trail are required")
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "approval", own); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	return &Desk{cfg}, nil
}

// Case is a question that is to be decided about. All that it says was checked.
type Case struct {
	Query    query.ID
	Same     message.Digest   // query.Request.Question
	Envelope message.Envelope // as the researcher signed it
	Request  query.Request

	Hub    disclosure.Policy // what the hub demands
	Limits disclosure.Policy // the strictest of all

	Sites []identity.DID // of the trial

	// Until is how long the hub brings the question again.
	Until time.Time
}

// terms is the digest of the limits that a decision about the question is for.
func (c Case) terms() (message.Digest, error) {
	raw, err := canonical.Marshal(struct {
		Hub    disclosure.Policy `json:"hub"`
		Limits disclosure.Policy `json:"limits"`
	}{c.Hub, c.Limits})
	return message.Sum(raw), err
}

// Leave is what lets a question pass: the digest of the policy, and of the
// verdicts that were needed.
type Leave struct {
	Policy   message.Digest
	Decided  Decided
	Verdicts []message.Digest
	terms    message.Digest
	signers  []identity.DID
}

// Public returns what may leave the site of it.
func (l Leave) Public() query.Leave {
	public := query.Leave{Policy: l.Policy, Verdicts: l.Verdicts}
	if l.Decided.PublishApprovers {
		public.Approvers = l.signers
	}
	return public
}
