// Package release is the only way out of a node: every number that leaves was
// let through by [Gate.Release].
//
// The gate applies the strictest policy of node, trial and hub to one site's
// table: cells below the threshold are withheld, one dominant person hides a
// cell, counts are rounded, a question whose answer and those before it could be
// added and subtracted to leave a few people is refused unless withholding more
// cells helps, and so is one beyond the rates and budgets of researcher or trial.
// Where the policy asks for it, noise makes counts differentially private. DESIGN.md
// says what this does not catch.
// What it decided is on disk before anyone hears of it, so a restart forgets
// nothing. A [Released] vector does not print or marshal; it is for masking.
package release

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Why the gate refuses. The sentences are public and hold no number of the site.
var (
	ErrCells      = problem.Refusal("release.cell-threshold", "every cell of the answer has fewer persons than the policy demands, or one who has most of its sum")
	ErrDifference = problem.Refusal("release.differencing", "numbers of this answer and of those given before could be subtracted to leave fewer persons than the policy allows")
	ErrNear       = problem.Refusal("release.near-threshold", "of two numbers about nearly the same persons, this one and one asked for before, one would be shown and the other withheld, which tells that they lie at the threshold")
	ErrMargins    = problem.Refusal("release.margins", "with the numbers around it the answer would tell a withheld cell more exactly than that it is withheld")
	ErrAudit      = problem.Refusal("release.audit", "so many numbers about these persons were released that the node cannot tell whether one more would give a few of them away")
	ErrLimits     = problem.Refusal("release.limits", "the same persons were asked about under other disclosure limits before; what was shown then stands")
	ErrSites      = problem.Refusal("release.sites", "the same numbers were added up over other sites before; sums over several choices of sites would give the numbers of a few of them away")
	ErrChanged    = problem.Refusal("release.changed", "persons in the earlier answer to this question have since left; it is not repeated until enough others have come or gone")
	ErrChoice     = problem.Refusal("release.choice", "these persons, or some of them with others, were asked about with other breaks or periods, another grid of times, plausible range of a column, share, caliper, cut of weights, number of strata or clusters, or model of a score or a prediction before, or were put into clusters with others; the two answers would differ by those who lie between: ask in the same way")
	ErrForgotten  = problem.Refusal("release.forgotten", "the values behind this question's answer were deleted meanwhile; ask again")
	ErrBudget     = problem.Refusal("release.budget", "the researcher has had as many questions of this trial answered here as the policy allows")
)

//go:embed migrations
var migrations embed.FS

// Gate judges answers. It is safe for concurrent use: it decides one question
// after the other.
type Gate struct {
	db     *sqldb.DB
	random io.Reader // of noise; not the system's in tests only
	memory *memory
}

// Open brings the gate's tables up to date and returns the gate.
func Open(ctx context.Context, db *sqldb.DB) (*Gate, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, db, "release", own); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return &Gate{db: db, random: rand.Reader, memory: newMemory()}, nil
}

// Question is what an answer is to.
type Question struct {
	ID         query.ID
	Same       message.Digest // query.Request.Question
	Trial      trial.ID
	Researcher identity.DID

	// Policy is the strictest of node, trial and hub.
	Policy disclosure.Policy

	// Design is the trial's own policy, which every site of it applies.
	Design disclosure.Policy

	// Hub is the hub's own, which it may tell every site.
	Hub disclosure.Policy
}

// Answer is one site's answer before the gate: a table, or the frame of a method in rounds.
type Answer struct {
	Table analysis.Table
	Frame *Frame

	// Labels are the levels that make each of the table's cells, as "axis = level"; none is the
	// whole cohort. Columns say which column of the question a measure is of.
	Labels  [][]string
	Columns map[string]string

	// Whole names what is asked but for the levels. A cell of fewer levels includes one of
	// more if both are of the same whole, which is known without any number. If it is zero,
	// no cell is known to include another but the steps of one answer.
	Whole message.Digest

	// Used are all persons whose records were looked at.
	Used []omop.PersonID

	// Measure names what the table's numbers measure. Numbers of one measure can
	// be subtracted from each other.
	Measure string

	// Sets say, per measure, which persons each cell's number is about. Measures
	// other than the answer's come along to be compared with later answers. Of a
	// frame, sets may follow those of the cells: of persons who are in none.
	Sets map[string][][]omop.PersonID

	// Choices are, by what is cut, the ways in which a question has values cut: breaks, a grid
	// of times, the range outside which a person has no value.
	Choices map[string]Choice

	// Cuts are the parts into which the answer divides persons by a value.
	Cuts []Cut

	// Nested says of a count that each cell's persons are among those of the cell before,
	// as the steps of an attrition are. Otherwise nobody is in two cells.
	Nested bool

	// Values say, per measure, which persons' values each cell's sum is of, so
	// that two sums over the same persons are known to be of other values. Of a
	// frame, sets may follow those of the cells: of further columns.
	Values map[string][][]Value

	// Additive are the measures of which values are sums themselves, of events or days, so that those
	// of two columns may add up to those of a third.
	Additive []string
}

// Value is a person's value in a sum.
type Value struct {
	Person omop.PersonID
	Number float64
}

// Released is what was let out: a vector that may leave, once masked, or a frame whose sums
// may.
type Released struct {
	words []uint64 // of a frame, its values
	used  []omop.PersonID
}

// Words returns the vector, for masking. There is none in place of a frame.
func (r Released) Words() []uint64 { return r.words }

// Used returns the persons whose records the vector was made of, for the proof.
func (r Released) Used() []omop.PersonID { return r.used }

// Digest names the vector, for who approves that it leaves.
func (r Released) Digest() message.Digest { return message.Sum(wordsToBytes(r.words)) }

// Format hides the vector.
func (Released) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "released:redacted") }

// MarshalJSON refuses.
func (Released) MarshalJSON() ([]byte, error) {
	return nil, errors.New("release: a released vector leaves only masked")
}

// Recall returns what was decided about a question before: a vector, or the
// error of the refusal. found is false if the gate has not seen the question.
func (g *Gate) Recall(ctx context.Context, id query.ID) (r Released, found bool, err error) {
	err = g.db.Read(ctx, func(tx *sqldb.Tx) error {
		r, found, err = g.RecallIn(ctx, tx, id)
		return err
	})
	return r, found, err
}

// RecallIn is [Gate.Recall] as a transaction sees it.
func (g *Gate) RecallIn(ctx context.Context, tx *sqldb.Tx, id query.ID) (r Released, found bool, err error) {
	var rule, public, detail string
	var words, bits, used []byte
	err = tx.QueryRow(ctx, `SELECT r.rule, r.public, r.detail, r.words, f.bits, r.used FROM release r LEFT JOIN release_frame f ON f.query = r.source
		WHERE r.query = ?`, id.String()).Scan(&rule, &public, &detail, &words, &bits, &used)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return r, false, nil
	case err != nil:
		return r, false, err
	case rule != "":
		return r, true, problem.Refusal(rule, public).With(detail)
	case words == nil && bits == nil:
		return r, true, ErrForgotten
	}
	r, err = restore(words, bits, used)
	return r, true, err
}

// restore makes a vector of its words, or of the bits of a frame.
func restore(words, bits, used []byte) (Released, error) {
	if words == nil {
		words = bits
	}
	members, err := parseSet(used)
	if err != nil {
		return Released{}, err
	}
	persons, err := members.persons()
	return Released{words: bytesToWords(words), used: persons}, err
}

// Release judges an answer and remembers the decision. A question that was
// decided before keeps its decision. An error of package problem is a refusal;
// any other means that nothing was decided.
func (g *Gate) Release(ctx context.Context, q Question, a Answer, now time.Time) (Released, error) {
	return g.ReleaseThen(ctx, q, a, now, func(*sqldb.Tx, Released) error { return nil })
}

// ReleaseThen is [Gate.Release] that does something with what is let out in the same
// transaction. An error of then, which is returned, undoes the decision unless it stood before.
func (g *Gate) ReleaseThen(ctx context.Context, q Question, a Answer, now time.Time, then func(*sqldb.Tx, Released) error) (Released, error) {
	var out Released
	var refusal *problem.Error
	var undone error
	err := g.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "release"); err != nil {
			return err
		}
		var err error
		if out, refusal, err = g.decide(ctx, tx, q, a, now); err != nil || refusal != nil {
			return err
		}
		undone = then(tx, out)
		return undone
	})
	switch {
	case undone != nil:
		return Released{}, undone
	case err != nil:
		return Released{}, fmt.Errorf("release: %w", err)
	case refusal != nil:
		return Released{}, refusal
	}
	return out, nil
}

// decide returns what was decided before, or judges the answer. A refusal is on record too.
func (g *Gate) decide(ctx context.Context, tx *sqldb.Tx, q Question, a Answer, now time.Time) (out Released, refusal *problem.Error, err error) {
	out, found, err := g.RecallIn(ctx, tx, q.ID)
	if !found && err == nil {
		g.memory.mu.Lock()
		defer g.memory.mu.Unlock()
		defer g.memory.trim()
		d := newDecision(tx, q, now, g.random, g.memory)
		if out, err = d.decide(ctx, a); errors.As(err, &refusal) {
			return Released{}, refusal, d.refuse(ctx, refusal)
		}
	}
	if errors.As(err, &refusal) {
		return Released{}, refusal, nil
	}
	return out, nil, err
}

// Forget deletes the values behind the sums of methods in rounds that were let out before a
// time, and returns of how many questions. What the guard needs stays: asked again, the
// same question counts as a new one about the same persons.
func (g *Gate) Forget(ctx context.Context, before time.Time) (questions int64, err error) {
	err = g.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "release"); err != nil {
			return err
		}
		questions, err = tx.Exec(ctx, `DELETE FROM release_frame WHERE released_at < ?`, before.Unix())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("release: forget values: %w", err)
	}
	return questions, nil
}

// Once remembers what this node acted on in a step of a masked sum, for good once the
// transaction is committed; see [secagg.Guard].
func (g *Gate) Once(ctx context.Context, tx *sqldb.Tx, session message.Digest, step string, value message.Digest) error {
	n, err := tx.Exec(ctx, `INSERT INTO release_guard (session, step, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		session.String(), step, value.String())
	if err != nil || n > 0 {
		return err
	}
	var stored string
	if err := tx.QueryRow(ctx, `SELECT value FROM release_guard WHERE session = ? AND step = ?`, session.String(), step).Scan(&stored); err != nil {
		return err
	}
	if stored != value.String() {
		return secagg.ErrChanged
	}
	return nil
}

// Summary counts decisions by rule; "" is released. It is for status pages.
func (g *Gate) Summary(ctx context.Context) (map[string]int64, error) {
	counts := make(map[string]int64)
	err := g.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT rule, count(*) FROM release GROUP BY rule`, nil, func(rows *sqldb.Rows) error {
			var rule string
			var n int64
			if err := rows.Scan(&rule, &n); err != nil {
				return err
			}
			counts[rule] = n
			return nil
		})
	})
	return counts, err
}
