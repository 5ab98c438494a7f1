package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Node is a site as the hub knows it.
type Node struct {
	entry.Enrollment
	Enrolled time.Time
	Revoked  bool
}

// Question is a question with everything the hub knows of it.
type Question struct {
	ID          query.ID
	Envelope    message.Envelope
	Request     query.Request
	State       query.State
	Asked       time.Time
	Deadline    time.Time
	Priority    query.Priority
	LedgerIndex int64
	Result      *query.Result // nil while open
	ResultIndex int64         // leaf of the result, -1 while open
}

// Epoch is a consent epoch with its place in the log.
type Epoch struct {
	consent.Epoch
	Digest      message.Digest // of its envelope
	LedgerIndex int64
}

// Access is an access proof with its place in the log and on the chain.
type Access struct {
	query.Access
	LedgerIndex int64
	Tx          string // empty until it is on the chain
	Block       uint64
	Gas         uint64
}

// ErrDocumentUnknown reports a digest that names no public document.
var ErrDocumentUnknown = problem.New(problem.NotFound, "no such document")

// Reader answers from one replica's database.
type Reader struct{ db *sqldb.DB }

// NewReader returns a Reader of a database on which [Migrate] ran.
func NewReader(db *sqldb.DB) *Reader { return &Reader{db} }

// read runs fn on one snapshot and returns its value.
func read[T any](ctx context.Context, db *sqldb.DB, fn func(tx *sqldb.Tx) (T, error)) (T, error) {
	var value T
	err := db.Read(ctx, func(tx *sqldb.Tx) error {
		var err error
		value, err = fn(tx)
		return err
	})
	return value, err
}

// AppliedIndex returns how far the replicated log has been applied.
func (r *Reader) AppliedIndex(ctx context.Context) (uint64, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (uint64, error) { return appliedIndex(ctx, tx) })
}

// Nodes returns every node, by name.
func (r *Reader) Nodes(ctx context.Context) ([]Node, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Node, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (Node, error) {
			var n Node
			var enrolled int64
			err := rows.Scan(&n.Node, &n.Name, &n.Organization, &enrolled, &n.Revoked)
			n.Enrolled = time.Unix(enrolled, 0).UTC()
			return n, err
		}, `SELECT did, name, organization, enrolled_at, revoked_at IS NOT NULL FROM node ORDER BY name`)
	})
}

// Admitted reports whether a DID is an enrolled node that was not revoked.
func (r *Reader) Admitted(ctx context.Context, did identity.DID) (bool, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (bool, error) {
		return step{ctx: ctx, tx: tx}.enrolled(did)
	})
}

// Document returns the bytes of a public document.
func (r *Reader) Document(ctx context.Context, digest message.Digest) ([]byte, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]byte, error) { return documentOf(ctx, tx, digest.String()) })
}

// Venue returns the network's chain and contracts.
func (r *Reader) Venue(ctx context.Context) (query.Venue, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (query.Venue, error) { return venueOf(ctx, tx) })
}

// Deployment returns where the contracts are, as it was recorded, nil before that.
func (r *Reader) Deployment(ctx context.Context) (json.RawMessage, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (json.RawMessage, error) {
		found, err := documents[json.RawMessage](ctx, tx, `SELECT document FROM deployment`)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		return found[0], nil
	})
}

// Circuit returns a circuit by the digest of its verifying key.
func (r *Reader) Circuit(ctx context.Context, digest message.Digest) (entry.Circuit, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (entry.Circuit, error) { return circuitOf(ctx, tx, digest) })
}

// Circuits returns all circuits, by shape.
func (r *Reader) Circuits(ctx context.Context) ([]entry.Circuit, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]entry.Circuit, error) {
		return documents[entry.Circuit](ctx, tx, `SELECT document FROM circuit ORDER BY shape`)
	})
}

// Trials returns the registrations of all trials, by id.
func (r *Reader) Trials(ctx context.Context) ([]trial.Registration, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]trial.Registration, error) {
		return documents[trial.Registration](ctx, tx, `SELECT document FROM trial ORDER BY id`)
	})
}

// Trial returns a trial.
func (r *Reader) Trial(ctx context.Context, id trial.ID) (trial.Registration, trial.Design, error) {
	type both struct {
		registration trial.Registration
		design       trial.Design
	}
	b, err := read(ctx, r.db, func(tx *sqldb.Tx) (both, error) {
		registration, design, err := trialOf(ctx, tx, id)
		return both{registration, design}, err
	})
	return b.registration, b.design, err
}

// Epoch returns a consent epoch by the digest of its envelope.
func (r *Reader) Epoch(ctx context.Context, digest message.Digest) (Epoch, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (Epoch, error) { return epochOf(ctx, tx, digest) })
}

// AnsweredUnder reports whether a node may answer a question under a consent
// epoch: [ErrEpochUnknown] unless it was on the ledger before and covers the
// question, [ErrEpochOld] if the node had published a newer one.
func (r *Reader) AnsweredUnder(ctx context.Context, q Question, node identity.DID, digest message.Digest) error {
	_, err := read(ctx, r.db, func(tx *sqldb.Tx) (Epoch, error) { return step{ctx: ctx, tx: tx}.answeredUnder(q, node, digest) })
	return err
}

// Question returns a question, or [ErrQuestionUnknown].
func (r *Reader) Question(ctx context.Context, id query.ID) (Question, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (Question, error) { return questionOf(ctx, tx, id) })
}

// newestAnswers bounds where [Reader.LastAccepted] looks, as a node may refuse much.
const newestAnswers = 100

// LastAccepted returns a node's signed yes to the newest question that it accepted, nil if it
// accepted none of the last ones that it answered.
func (r *Reader) LastAccepted(ctx context.Context, node identity.DID) (*message.Envelope, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (*message.Envelope, error) {
		rows, err := tx.Query(ctx, `SELECT a.envelope FROM question q CROSS JOIN answer a WHERE a.query = q.id AND a.step = ? AND a.node = ?
			ORDER BY q.ledger_index DESC LIMIT ?`, string(query.StepAsk), node, newestAnswers)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				return nil, err
			}
			e, err := message.Parse(raw)
			if err != nil {
				return nil, err
			}
			answer, err := message.Stored[query.Answer](e, query.KindAnswer)
			if err != nil {
				return nil, err
			}
			if answer.Refusal == nil && answer.Step == query.StepAsk {
				return &e, nil
			}
		}
		return nil, rows.Err()
	})
}

// Answered reports whether a question has its result, or returns [ErrQuestionUnknown].
func (r *Reader) Answered(ctx context.Context, id query.ID) (bool, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (answered bool, err error) {
		err = tx.QueryRow(ctx, `SELECT result_document <> '' FROM question WHERE id = ?`, id.String()).Scan(&answered)
		if errors.Is(err, sqldb.ErrNoRows) {
			err = ErrQuestionUnknown
		}
		return answered, err
	})
}

// Questions returns up to limit questions, newest first.
func (r *Reader) Questions(ctx context.Context, limit int) ([]Question, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Question, error) {
		return questions(ctx, tx, `SELECT id FROM question ORDER BY ledger_index DESC LIMIT ?`, limit)
	})
}

// Round returns the state of a round of a question, nil if it is not fixed yet.
func (r *Reader) Round(ctx context.Context, id query.ID, n int) (json.RawMessage, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (json.RawMessage, error) {
		var state []byte
		err := tx.QueryRow(ctx, `SELECT state FROM question_round WHERE query = ? AND round = ?`, id.String(), n).Scan(&state)
		if errors.Is(err, sqldb.ErrNoRows) {
			return nil, nil
		}
		return state, err
	})
}

// Rounds returns how many rounds of a question have begun, 0 for a method of one sum.
func (r *Reader) Rounds(ctx context.Context, id query.ID) (int, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (int, error) {
		var n int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM question_round WHERE query = ?`, id.String()).Scan(&n)
		return n, err
	})
}

// Answers returns the answers to one step of a question, by node.
func (r *Reader) Answers(ctx context.Context, id query.ID, at query.Step) (map[identity.DID]query.Answer, error) {
	signed, err := r.Signed(ctx, id, at)
	if err != nil {
		return nil, err
	}
	answers := make(map[identity.DID]query.Answer, len(signed))
	for node, e := range signed {
		if answers[node], err = message.Stored[query.Answer](e, query.KindAnswer); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Signed returns the answers to one step of a question as the nodes signed them.
func (r *Reader) Signed(ctx context.Context, id query.ID, at query.Step) (map[identity.DID]message.Envelope, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (map[identity.DID]message.Envelope, error) {
		answers := make(map[identity.DID]message.Envelope)
		rows, err := tx.Query(ctx, `SELECT node, envelope FROM answer WHERE query = ? AND step = ?`, id.String(), at)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var node identity.DID
			var raw []byte
			if err := rows.Scan(&node, &raw); err != nil {
				return nil, err
			}
			var e message.Envelope
			if err := json.Unmarshal(raw, &e); err != nil {
				return nil, fmt.Errorf("registry: answer of %s: %w", node, err)
			}
			answers[node] = e
		}
		return answers, rows.Err()
	})
}

// Touched reports whether any step of a question is on record, or part of one.
func (r *Reader) Touched(ctx context.Context, id query.ID) (bool, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (bool, error) {
		return step{ctx: ctx, tx: tx}.exists(`SELECT 1 FROM answer WHERE query = ? UNION ALL SELECT 1 FROM step_closed WHERE query = ?
			UNION ALL SELECT 1 FROM question_round WHERE query = ? LIMIT 1`, id.String(), id.String(), id.String())
	})
}

// Waiting returns the nodes whose people have to decide about an open question and
// have not, ascending.
func (r *Reader) Waiting(ctx context.Context, id query.ID) ([]identity.DID, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]identity.DID, error) {
		list, err := texts(ctx, tx, `SELECT node FROM answer AS w WHERE query = ? AND step = ? AND NOT EXISTS
			(SELECT 1 FROM answer AS a WHERE a.query = w.query AND a.node = w.node AND a.step = ?) AND EXISTS
			(SELECT 1 FROM question AS q WHERE q.id = w.query AND q.state = ?) ORDER BY node`, id.String(), query.StepWait, query.StepAsk, query.Open)
		nodes := make([]identity.DID, 0, len(list))
		for _, node := range list {
			nodes = append(nodes, identity.DID(node))
		}
		return nodes, err
	})
}

// Closed returns the nodes with which a question goes on after a step, and
// whether that is decided.
func (r *Reader) Closed(ctx context.Context, id query.ID, at query.Step) ([]identity.DID, bool, error) {
	nodes, err := read(ctx, r.db, func(tx *sqldb.Tx) ([]identity.DID, error) {
		var raw string
		err := tx.QueryRow(ctx, `SELECT nodes FROM step_closed WHERE query = ? AND step = ?`, id.String(), at).Scan(&raw)
		if err != nil {
			return nil, err
		}
		var nodes []identity.DID
		return nodes, json.Unmarshal([]byte(raw), &nodes)
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, false, nil
	}
	return nodes, err == nil, err
}

// Revoked reports whether a certificate, or everything of a node, was revoked.
// Empty arguments match nothing.
func (r *Reader) Revoked(ctx context.Context, serial string, did identity.DID) (bool, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (bool, error) {
		return step{ctx: ctx, tx: tx}.exists(`SELECT 1 FROM certificate WHERE serial = ? AND revoked_at IS NOT NULL
			UNION ALL SELECT 1 FROM node WHERE did = ? AND revoked_at IS NOT NULL`, serial, did)
	})
}

// Unlogged returns up to limit access proofs that are not on the chain yet.
func (r *Reader) Unlogged(ctx context.Context, limit int) ([]Access, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Access, error) {
		return accessRows(ctx, tx, `SELECT document, ledger_index, tx, block, gas FROM access WHERE tx = '' ORDER BY ledger_index LIMIT ?`, limit)
	})
}

// LastEpochs returns the digest of the newest consent epoch of every node and trial.
func (r *Reader) LastEpochs(ctx context.Context) ([]message.Digest, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]message.Digest, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (digest message.Digest, err error) {
			var text string
			if err := rows.Scan(&text); err != nil {
				return digest, err
			}
			return digest, digest.UnmarshalText([]byte(text))
		}, `SELECT digest FROM epoch e WHERE number =
			(SELECT max(number) FROM epoch l WHERE l.trial = e.trial AND l.node = e.node) ORDER BY trial, node`)
	})
}

// Accesses returns the access proofs of a question, by node.
func (r *Reader) Accesses(ctx context.Context, id query.ID) ([]Access, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Access, error) { return accesses(ctx, tx, id) })
}

// Anchors returns the checkpoints that the chain holds, newest first.
func (r *Reader) Anchors(ctx context.Context, limit int) ([]entry.Anchor, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]entry.Anchor, error) {
		return documents[entry.Anchor](ctx, tx, `SELECT document FROM anchor ORDER BY size DESC LIMIT ?`, limit)
	})
}
