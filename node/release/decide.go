package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// decision is one question before the gate, inside one transaction.
type decision struct {
	tx     *sqldb.Tx
	q      Question
	now    time.Time
	random io.Reader

	answer Answer

	// withheld are the sets behind an answer of which nothing is released.
	withheld []measureSet

	behind map[string][]set // each number of the answer, by measure

	small    []bool              // cells that are withheld for their own sake
	spent    int                 // multiplications of the audit
	memory   *memory             // of earlier decisions
	last     int64               // of them
	counted  bool                // last is known
	within   map[within][]figure // let out before that numbers of the answer could be taken together with
	compared map[string]error    // what [decision.compareOne] said of a cell
}

func newDecision(tx *sqldb.Tx, q Question, now time.Time, random io.Reader, earlier *memory) *decision {
	return &decision{
		tx: tx, q: q, now: now, random: random, memory: earlier,
		within: make(map[within][]figure), compared: make(map[string]error),
	}
}

func (d *decision) decide(ctx context.Context, a Answer) (Released, error) {
	used, err := newSet(a.Used)
	if err != nil {
		return Released{}, err
	}
	if earlier, found, err := d.repeat(ctx, used); found || err != nil {
		return earlier, err
	}
	if err := d.budget(ctx); err != nil {
		return Released{}, err
	}
	if err := d.rate(ctx); err != nil {
		return Released{}, err
	}
	if a.Frame != nil {
		a.Table = a.Frame.table()
	}
	cost, err := d.afford(ctx, a)
	if err != nil {
		return Released{}, err
	}
	if d.behind, err = a.behind(); err != nil {
		return Released{}, err
	}
	d.answer = a
	if a.Nested && !nested(d.behind[a.Measure]) {
		return Released{}, errors.New("release: a step of the answer is no part of the one before")
	}
	table := a.Table
	var sets []measureSet
	if a.Frame != nil {
		sets, err = d.checkFrame(ctx, a)
	} else {
		table, sets, err = d.protect(ctx, d.suppress(a.Table), a)
	}
	if bare := (*problem.Error)(nil); errors.Is(err, ErrDifference) && errors.As(err, &bare) && bare.Detail == "" {
		err = d.blame(ctx)
	}
	if err != nil {
		return Released{}, err
	}
	if err := d.uncopied(ctx, sets); err != nil {
		return Released{}, err
	}
	parts, err := d.uncut(ctx, a, sets)
	if err != nil {
		return Released{}, err
	}
	numbers, err := d.addUp(ctx, a, table)
	if err != nil {
		return Released{}, err
	}
	words, frame, err := d.words(a, table)
	if err != nil {
		return Released{}, err
	}
	if err := d.spend(ctx, cost); err != nil {
		return Released{}, err
	}
	r := row{source: d.q.ID.String(), measure: a.Measure, words: words, used: used, frame: frame}
	return Released{words: words, used: a.Used}, d.remember(ctx, r, slices.Concat(sets, parts, numbers))
}

// repeat answers a question that was answered before with the same numbers, as
// long as everyone in them may still be used. Once enough persons have come or
// gone for a new answer to give nobody away, the question counts as new.
func (d *decision) repeat(ctx context.Context, used set) (Released, bool, error) {
	var r row
	var words, bits, before []byte
	err := d.tx.QueryRow(ctx, `SELECT r.source, r.measure, r.words, f.bits, r.used FROM release r LEFT JOIN release_frame f ON f.query = r.source
		WHERE r.question = ? AND r.rule = '' AND r.limits = ? ORDER BY r.sequence DESC LIMIT 1`,
		d.q.Same.String(), limits(d.q.Policy)).Scan(&r.source, &r.measure, &words, &bits, &before)
	if errors.Is(err, sqldb.ErrNoRows) || err == nil && words == nil && bits == nil { // forgotten: it counts as new
		return Released{}, false, nil
	}
	if err != nil {
		return Released{}, false, err
	}
	r.frame = words == nil
	if r.used, err = parseSet(before); err != nil {
		return Released{}, false, err
	}
	gone, come := r.used.differences(used)
	switch {
	case gone == 0 && come < max(d.q.Policy.MinDifference, 1):
		out, err := restore(words, bits, before)
		if err != nil {
			return Released{}, false, err
		}
		r.words = out.words
		return out, true, d.remember(ctx, r, nil)
	case gone+come < d.q.Policy.MinDifference:
		return Released{}, false, ErrChanged
	}
	return Released{}, false, nil
}

// budget counts the different questions of the researcher that were decided on
// the data, each once for all limits it was asked under. Refusals count too: a
// caller who may raise the threshold could read a count off where they begin.
func (d *decision) budget(ctx context.Context) error {
	if d.q.Policy.MaxQuestions == 0 {
		return nil
	}
	var n int
	if err := d.tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT DISTINCT question, limits FROM release
		WHERE researcher = ? AND trial = ? AND rule NOT IN (?, ?) AND NOT (question = ? AND limits = ?)) AS others`,
		d.q.Researcher, d.q.Trial, ErrBudget.Rule, RuleRate, d.q.Same.String(), limits(d.q.Policy)).Scan(&n); err != nil {
		return err
	}
	if n >= d.q.Policy.MaxQuestions {
		return ErrBudget
	}
	return nil
}

// suppress withholds small and dominated cells and rounds counts. A count that
// would round to less than the threshold is withheld too: with 11 and 5, a
// released 10 would be a number below the threshold and give away 11 or 12. Where
// there is noise, a cell of nobody is withheld as one of few: a 0 would be exact.
func (d *decision) suppress(t analysis.Table) (out analysis.Table) {
	least := least(d.q.Policy)
	out.Cells = make([]analysis.Cell, len(t.Cells))
	d.small = make([]bool, len(t.Cells))
	for i, c := range t.Cells {
		switch {
		case (c.N > 0 || d.q.Policy.Noise != "") && c.N < least, dominated(c, d.q.Policy.MaxShare):
			c = c.Withhold()
		case len(c.Sums) == 0:
			if c = c.Round(int64(d.q.Policy.Rounding)); c.N < least && t.Cells[i].N > 0 {
				c = c.Withhold()
			}
		}
		out.Cells[i], d.small[i] = c, c.Withheld
	}
	return out
}

// dominated reports whether one person has more than the allowed share, in
// percent, of a cell's sum. A cell of one measured person is always dominated.
func dominated(c analysis.Cell, maxShare int) bool {
	return maxShare > 0 && c.N > 0 && 100*c.Largest > float64(maxShare)
}

// row is what the gate keeps of an answer it let out.
type row struct {
	source  string // query whose decision this is, itself unless it repeats one
	measure string
	words   []uint64
	used    set
	frame   bool // words are a frame's values
}

func (d *decision) remember(ctx context.Context, r row, sets []measureSet) error {
	if err := d.insert(ctx, &problem.Error{}, r); err != nil {
		return err
	}
	return d.insertSets(ctx, sets, false)
}

func (d *decision) refuse(ctx context.Context, why *problem.Error) error {
	if err := d.insert(ctx, why, row{source: d.q.ID.String()}); err != nil {
		return err
	}
	return d.insertSets(ctx, d.withheld, true)
}

// insert writes the decision down: what was let out, if why names no rule.
func (d *decision) insert(ctx context.Context, why *problem.Error, r row) error {
	var words, used []byte
	if why.Rule == "" {
		words, used = wordsToBytes(r.words), r.used.bytes()
	}
	if r.frame {
		if _, err := d.tx.Exec(ctx, `INSERT INTO release_frame (query, bits, released_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			r.source, words, d.now.Unix()); err != nil {
			return err
		}
		words = nil
	}
	// The gate's lock makes the next number the next.
	_, err := d.tx.Exec(ctx, `INSERT INTO release
		(sequence, query, source, question, trial, researcher, limits, rule, public, detail, measure, words, used, released_at)
		VALUES ((SELECT coalesce(max(sequence), 0) + 1 FROM release), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.q.ID.String(), r.source, d.q.Same.String(), d.q.Trial, d.q.Researcher, limits(d.q.Policy), why.Rule, why.Public, why.Detail,
		r.measure, words, used, d.now.Unix())
	return err
}

// limits names the part of a policy that changes what an answer shows of one
// set of persons. An answer under other limits is another answer.
func limits(p disclosure.Policy) string {
	text := fmt.Sprintf("cell %d, rounding %d, share %d, difference %d", p.MinCell, p.Rounding, p.MaxShare, p.MinDifference)
	if p.Noise != "" {
		text += fmt.Sprintf(", %s noise %d", p.Noise, p.NoiseScale)
	}
	return text
}

// parseLimits reads what [limits] wrote; "" is a policy that asks for nothing.
func parseLimits(text string) (p disclosure.Policy, err error) {
	if text == "" {
		return p, nil
	}
	if _, err := fmt.Sscanf(text, "cell %d, rounding %d, share %d, difference %d", &p.MinCell, &p.Rounding, &p.MaxShare, &p.MinDifference); err != nil {
		return p, fmt.Errorf("release: stored limits: %w", err)
	}
	return p, nil
}
