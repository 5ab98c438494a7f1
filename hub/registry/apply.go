package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ProofChecker verifies zero-knowledge proofs. It must be a pure function of
// its arguments: every replica asks it and must hear the same.
type ProofChecker interface {
	// CheckEpoch reports whether every shard's proof of e verifies.
	CheckEpoch(circuit entry.Circuit, e consent.Epoch) error

	// CheckAccess reports whether a's proof verifies against the epoch it names.
	// hash is the public input that binds the proof to question, node and venue.
	CheckAccess(circuit entry.Circuit, a query.Access, e consent.Epoch, hash consent.Element) error

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

// ErrApplied reports a log index that this database already holds.
var ErrApplied = errors.New("registry: already applied")

// Apply runs the command at a log index. A refused command changes nothing but
// the applied index, and its error says why, the same on every replica. An
// error that is not a [problem.Error] means the replica is broken and must stop.
func (m *Machine) Apply(ctx context.Context, index uint64, data []byte) (Outcome, error) {
	var out Outcome
	err := m.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := advance(ctx, tx, index); err != nil {
			return err
		}
		var err error
		out, err = m.apply(ctx, tx, data)
		return err
	})
	var refused *problem.Error
	if !errors.As(err, &refused) {
		return out, err
	}
	if skip := m.db.Write(ctx, func(tx *sqldb.Tx) error { return advance(ctx, tx, index) }); skip != nil {
		return Outcome{}, fmt.Errorf("registry: note refused command %d: %w", index, skip)
	}
	return Outcome{}, err
}

// applyAll runs commands in one transaction, which holds all of them or, with an error, none.
// A refused one is taken back by itself.
func (m *Machine) applyAll(ctx context.Context, commands []consensus.Committed) ([]consensus.Applied, error) {
	applied := make([]consensus.Applied, len(commands))
	err := m.db.Write(ctx, func(tx *sqldb.Tx) error {
		for i, c := range commands {
			err := advance(ctx, tx, c.Index)
			if errors.Is(err, ErrApplied) {
				applied[i].Value = Outcome{LedgerIndex: -1, Existed: true}
				continue
			}
			if err != nil {
				return err
			}
			out, err := m.applyOne(ctx, tx, c.Command)
			var refused *problem.Error
			if err != nil && !errors.As(err, &refused) {
				return fmt.Errorf("command %d: %w", c.Index, err)
			}
			applied[i] = consensus.Applied{Value: out, Err: err}
		}
		return nil
	})
	return applied, err
}

// applyOne runs a command of which nothing is left if it is refused.
func (m *Machine) applyOne(ctx context.Context, tx *sqldb.Tx, data []byte) (Outcome, error) {
	if _, err := tx.Exec(ctx, `SAVEPOINT command`); err != nil {
		return Outcome{}, err
	}
	out, err := m.apply(ctx, tx, data)
	if err != nil {
		if _, failed := tx.Exec(ctx, `ROLLBACK TO command`); failed != nil {
			return Outcome{}, fmt.Errorf("take back a refused command: %w", failed)
		}
		out = Outcome{}
	}
	if _, failed := tx.Exec(ctx, `RELEASE command`); failed != nil {
		return Outcome{}, failed
	}
	return out, err
}

// advance moves the applied index to index.
func advance(ctx context.Context, tx *sqldb.Tx, index uint64) error {
	n, err := tx.Exec(ctx, `UPDATE registry_applied SET log_index = ? WHERE log_index < ?`, int64(index), int64(index))
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrApplied
	}
	return nil
}

// step is one command being applied.
type step struct {
	*Machine
	ctx context.Context
	tx  *sqldb.Tx
	at  time.Time
}

func (m *Machine) apply(ctx context.Context, tx *sqldb.Tx, data []byte) (Outcome, error) {
	var c Command
	if err := json.Unmarshal(data, &c); err != nil {
		return Outcome{}, fmt.Errorf("registry: decode command: %w", err)
	}
	s := step{Machine: m, ctx: ctx, tx: tx, at: c.At.UTC()}
	switch c.Kind {
	case KindSetVenue:
		return run(c.Body, s.setVenue)
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
	leaf, err := entry.Entry{Kind: kind, At: s.at, Actor: actor, Subject: subject, Digest: digest}.Marshal()
	if err != nil {
		return digest, Outcome{}, err
	}
	index, err := ledger.Append(s.ctx, s.tx, [][]byte{leaf})
	if err != nil {
		return digest, Outcome{}, err
	}
	return digest, Outcome{LedgerIndex: index}, nil
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
