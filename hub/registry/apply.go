package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/figures"
)

// ProofChecker verifies zero-knowledge proofs. It must be a pure function of
// its arguments: every replica asks it and must hear the same.
type ProofChecker interface {
	// CheckEpoch reports whether every shard's proof of e verifies.
	CheckEpoch(circuit entry.Circuit, e consent.Epoch) error

	// CheckAccess reports whether a's proof verifies against the epoch it names.
	// hash is the public input that binds the proof to question, node and venue.
	CheckAccess(circuit entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error

	// CheckResult reports whether p's proofs verify for the statement.
	CheckResult(by figures.Circuits, p query.Proved, s figures.Statement) error

	// CheckEnrollment reports whether e's proof verifies in the network of a hub.
	CheckEnrollment(circuit entry.Circuit, e enrollment.Enrollment, network identity.DID) error
}

// Machine applies commands. It is used by one goroutine at a time.
type Machine struct {
	db     *sqldb.DB
	hub    identity.DID
	proofs ProofChecker

	verified *message.Verified
}

// NewMachine returns a Machine over a database on which [Migrate] ran. hub is
// the actor of entries that nobody outside signed.
func NewMachine(db *sqldb.DB, hub identity.DID, proofs ProofChecker) *Machine {
	return &Machine{db: db, hub: hub, proofs: proofs, verified: message.NewVerified()}
}

// Verified is what m remembers of the messages that it verified, for who verifies the same
// ones on this replica before they are proposed.
func (m *Machine) Verified() *message.Verified { return m.verified }

// Outcome is what a command did.
type Outcome struct {
	// LedgerIndex is the index of the command's leaf, -1 when it has none.
	LedgerIndex int64

	// Existed says that the same thing was there already and nothing changed.
	Existed bool
}

// ErrUnknownCommand reports a command of a later version. The replica must
// stop: skipping it would fork the state.
var ErrUnknownCommand = errors.New("registry: unknown command; this program is older than the log")

// step is one command being applied.
type step struct {
	*Machine
	ctx    context.Context
	tx     *sqldb.Tx
	leaves *leaves // of the transaction
	at     time.Time
}

// apply runs a command.
func (s step) apply(data []byte) (Outcome, error) {
	var c Command
	if err := json.Unmarshal(data, &c); err != nil {
		return Outcome{}, fmt.Errorf("registry: decode command: %w", err)
	}
	s.at = c.At.UTC()
	switch c.Kind {
	case KindSetVenue:
		return run(c.Body, s.setVenue)
	case KindRecordDeployment:
		return run(c.Body, s.recordDeployment)
	case KindInviteNode:
		return run(c.Body, s.inviteNode)
	case KindEnrollNode:
		return run(c.Body, s.enrollNode)
	case KindRevokeNode:
		return run(c.Body, s.revokeNode)
	case KindUseToken:
		return run(c.Body, s.useToken)
	case KindRecordCertificate:
		return run(c.Body, s.recordCertificate)
	case KindRevokeCertificate:
		return run(c.Body, s.revokeCertificate)
	case KindAdmitToken:
		return run(c.Body, s.admitToken)
	case KindRevokeTokens:
		return run(c.Body, s.revokeTokens)
	case KindRegisterCircuit:
		return run(c.Body, s.registerCircuit)
	case KindRecordCeremony:
		return run(c.Body, s.recordCeremony)
	case KindRegisterTrial:
		return run(c.Body, s.registerTrial)
	case KindPublishEpoch:
		return run(c.Body, s.publishEpoch)
	case KindChangeConsents:
		return run(c.Body, s.changeConsents)
	case KindFixPersonKey:
		return run(c.Body, s.fixPersonKey)
	case KindCountPeople:
		return run(c.Body, s.countPeople)
	case KindEnrollPerson:
		return run(c.Body, s.enrollPerson)
	case KindAskQuestion:
		return run(c.Body, s.askQuestion)
	case KindQueueQuestion:
		return run(c.Body, s.queueQuestion)
	case KindRegisterStudy:
		return run(c.Body, s.registerStudy)
	case KindRegisterSchedule:
		return run(c.Body, s.registerSchedule)
	case KindAskOccurrence:
		return run(c.Body, s.askOccurrence)
	case KindCancelSchedule:
		return run(c.Body, s.cancelSchedule)
	case KindRecordAnswer:
		return run(c.Body, s.recordAnswer)
	case KindCloseStep:
		return run(c.Body, s.closeStep)
	case KindRecordStep:
		return run(c.Body, s.recordStep)
	case KindRecordSum:
		return run(c.Body, s.recordSum)
	case KindFinishQuestion:
		return run(c.Body, s.finishQuestion)
	case KindCancelQuestion:
		return run(c.Body, s.cancelQuestion)
	case KindRecordRound:
		return run(c.Body, s.recordRound)
	case KindRecordAccess:
		return run(c.Body, s.recordAccess)
	case KindCommitColumns:
		return run(c.Body, s.commitColumns)
	case KindRecordResult:
		return run(c.Body, s.recordResult)
	case KindRecordAccessTx:
		return run(c.Body, s.recordAccessTx)
	case KindRecordAnchor:
		return run(c.Body, s.recordAnchor)
	}
	return Outcome{}, fmt.Errorf("%w (kind %d)", ErrUnknownCommand, c.Kind)
}

func run[B Body](raw json.RawMessage, fn func(B) (Outcome, error)) (Outcome, error) {
	var body B
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return Outcome{}, problem.New(problem.Invalid, fmt.Sprintf("command %d: body is malformed", body.kind()))
	}
	return fn(body)
}

// silent is the outcome of a command without a leaf.
func silent(existed bool) Outcome { return Outcome{LedgerIndex: -1, Existed: existed} }

// record stores document and appends the leaf that names it.
func (s step) record(kind entry.Kind, actor identity.DID, subject string, document any) (message.Digest, Outcome, error) {
	digest, err := s.store(document)
	if err != nil {
		return digest, Outcome{}, err
	}
	index, err := s.leaves.add(s.ctx, s.tx, entry.Entry{Kind: kind, At: s.at, Actor: actor, Subject: subject, Digest: digest})
	return digest, Outcome{LedgerIndex: index}, err
}

// store keeps a document under the SHA-256 of its canonical bytes.
func (s step) store(document any) (message.Digest, error) {
	raw, err := canonical.Marshal(document)
	if err != nil {
		return message.Digest{}, err
	}
	digest := message.Sum(raw)
	_, err = s.tx.Exec(s.ctx, `INSERT INTO document (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING`, digest.String(), raw)
	return digest, err
}

// exists reports whether a row matches.
func (s step) exists(sql string, args ...any) (bool, error) {
	var one int
	err := s.tx.QueryRow(s.ctx, sql, args...).Scan(&one)
	if errors.Is(err, sqldb.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
