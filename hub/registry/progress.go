package registry

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// lastSteps is the most that a question keeps for what comes after its nodes' people have
// decided.
const lastSteps = 5 * time.Minute

// WaitsUntil is how long nodes' people may take: half of the question's time at least, and
// all but the last five minutes of a long one.
func (q Question) WaitsUntil() time.Time {
	return q.Deadline.Add(-min(lastSteps, q.Deadline.Sub(q.Asked)/2)).UTC().Truncate(time.Second)
}

// Progress returns how far a question has got, by what is on record: a node that has not
// answered is at work on it, whether or not it is there.
func (r *Reader) Progress(ctx context.Context, id query.ID) (query.Progress, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (query.Progress, error) {
		q, err := questionOf(ctx, tx, id)
		if err != nil {
			return query.Progress{}, err
		}
		_, design, err := trialOf(ctx, tx, q.Request.Trial)
		if err != nil {
			return query.Progress{}, err
		}
		c := course{ctx: ctx, tx: tx, q: q, closed: make(map[int][]identity.DID), last: -1, answered: make(map[identity.DID]int), waited: make(map[identity.DID]bool)}
		if err := c.read(); err != nil {
			return query.Progress{}, err
		}
		return c.progress(design.Nodes)
	})
}

// course is what is on record of the steps of a question. Steps are counted through all
// rounds: four to each, of which StepConfirm is mostly left out.
type course struct {
	ctx context.Context
	tx  *sqldb.Tx
	q   Question

	closed   map[int][]identity.DID // with whom it went on after a step
	last     int                    // the last closed, -1 for none
	rounds   int                    // that have begun, of a method in rounds
	answered map[identity.DID]int   // the last that a node answered
	waited   map[identity.DID]bool  // nodes that said that they wait for their people
}

// ordinals are the steps of a round. The first of a further one is [query.StepAdvance].
var ordinals = []query.Step{query.StepAsk, query.StepMask, query.StepConfirm, query.StepUnmask}

// placeOf counts a step, -1 for one that is not counted.
func placeOf(s query.Step) int {
	plain, n := s.Split()
	if plain == query.StepAdvance {
		plain = query.StepAsk
	}
	i := slices.Index(ordinals, plain)
	if i < 0 {
		return -1
	}
	return (n-1)*len(ordinals) + i
}

func stepAt(place int) query.Step {
	n, plain := place/len(ordinals)+1, ordinals[place%len(ordinals)]
	if n > 1 && plain == query.StepAsk {
		plain = query.StepAdvance
	}
	return plain.In(n)
}

func (c *course) read() error {
	type row struct {
		step query.Step
		text string
	}
	scan := func(rows *sqldb.Rows) (r row, err error) { return r, rows.Scan(&r.step, &r.text) }
	answers, err := collect(c.ctx, c.tx, scan, `SELECT step, node FROM answer WHERE query = ?`, c.q.ID.String())
	if err != nil {
		return err
	}
	for _, a := range answers {
		node := identity.DID(a.text)
		if a.step == query.StepWait {
			c.waited[node] = true
		} else if before, known := c.answered[node]; !known || placeOf(a.step) > before {
			c.answered[node] = placeOf(a.step)
		}
	}
	steps, err := collect(c.ctx, c.tx, scan, `SELECT step, nodes FROM step_closed WHERE query = ?`, c.q.ID.String())
	if err != nil {
		return err
	}
	if err := c.tx.QueryRow(c.ctx, `SELECT count(*) FROM question_round WHERE query = ?`, c.q.ID.String()).Scan(&c.rounds); err != nil {
		return err
	}
	for _, s := range steps {
		var nodes []identity.DID
		if err := json.Unmarshal([]byte(s.text), &nodes); err != nil {
			return err
		}
		c.closed[placeOf(s.step)] = nodes
		c.last = max(c.last, placeOf(s.step))
	}
	return nil
}

func (c *course) progress(nodes []identity.DID) (query.Progress, error) {
	p := query.Progress{Query: c.q.ID, State: c.q.State, Deadline: c.q.Deadline, Nodes: make([]query.NodeProgress, 0, len(nodes))}
	if c.gathers() && !p.State.Final() {
		p.Step = stepAt(c.next())
	}
	if c.q.Request.Analysis.Kind.InRounds() {
		p.Round, p.MaxRounds = max(c.rounds, 1), analysis.MaxRounds
	}
	for _, node := range nodes {
		n, err := c.node(node)
		if err != nil {
			return p, err
		}
		if p.State.Final() {
			n = c.over(n)
		} else if n.State == query.NodeWaiting {
			until := c.q.WaitsUntil()
			p.WaitsUntil = &until
		}
		p.Nodes = append(p.Nodes, n)
	}
	return p, nil
}

// gathers reports whether nodes are asked for something: between two rounds, and after the
// last, the hub is at work.
func (c *course) gathers() bool {
	_, n := stepAt(c.next()).Split()
	return n <= max(c.rounds, 1)
}

// next is the step that nodes are asked for. Nobody has to confirm who is in the sum if all
// are that were asked for their numbers.
func (c *course) next() int {
	place, _ := stepAt(c.last + 1).Split()
	if place == query.StepConfirm && len(c.closed[c.last]) == len(c.closed[c.last-1]) {
		return c.last + 2
	}
	return c.last + 1
}

// maskPlace is the step after which a node's numbers are in the sum.
const maskPlace = 1

// node says where a node stands while the question is open.
func (c *course) node(node identity.DID) (query.NodeProgress, error) {
	place, answered := c.answered[node]
	n := query.NodeProgress{Node: node, State: query.NodeWorking}
	if answered {
		n.Step = stepAt(place)
	}
	in := c.last < 0 || slices.Contains(c.closed[c.last], node)
	counted := slices.Contains(c.closed[maskPlace], node)
	switch {
	case answered && (place > c.last || !in):
		rule, refused, err := c.refusal(node, n.Step)
		if err != nil {
			return n, err
		}
		if refused {
			n.State, n.Rule = query.NodeRefused, rule
			return n, nil
		}
		if place > c.last || counted {
			n.State = query.NodeAnswered
			return n, nil
		}
		n.State, n.Step = query.NodeMissing, stepAt(place+1)
	case !answered && c.waited[node] && c.last < 0:
		n.State = query.NodeWaiting
	case !answered && c.waited[node]:
		n.State, n.Step = query.NodeMissing, query.StepWait
	case !answered && !in:
		n.State, n.Step = query.NodeMissing, query.StepAsk
	case answered && !c.gathers():
		n.State = query.NodeAnswered
	}
	return n, nil
}

// over says where a node stood when the question ended.
func (c *course) over(n query.NodeProgress) query.NodeProgress {
	r := c.q.Result
	for _, refused := range r.Refused {
		if refused.Node == n.Node {
			return query.NodeProgress{Node: n.Node, State: query.NodeRefused, Step: n.Step, Rule: refused.Problem.Rule}
		}
	}
	for _, missing := range r.Missing {
		if missing.Node == n.Node {
			return query.NodeProgress{Node: n.Node, State: query.NodeMissing, Step: missing.Step}
		}
	}
	if n.State == query.NodeRefused {
		return n
	}
	if _, answered := c.answered[n.Node]; r.State == query.Cancelled && !answered {
		return query.NodeProgress{Node: n.Node, State: query.NodeMissing, Step: query.StepAsk}
	}
	return query.NodeProgress{Node: n.Node, State: query.NodeAnswered, Step: n.Step}
}

// maxRefusal is more than a signed refusal has, in bytes: what is larger is an answer, and
// not worth to be read.
const maxRefusal = 64 << 10

// refusal reports whether a node refused a step, and by which rule.
func (c *course) refusal(node identity.DID, at query.Step) (rule string, refused bool, err error) {
	raws, err := collect(c.ctx, c.tx, func(rows *sqldb.Rows) (raw []byte, err error) { return raw, rows.Scan(&raw) },
		`SELECT envelope FROM answer WHERE query = ? AND step = ? AND node = ? AND length(envelope) <= ?`, c.q.ID.String(), at, node, maxRefusal)
	if err != nil || len(raws) == 0 {
		return "", false, err
	}
	var e message.Envelope
	if err := json.Unmarshal(raws[0], &e); err != nil {
		return "", false, err
	}
	answer, err := message.Stored[query.Answer](e, query.KindAnswer)
	if err != nil || answer.Refusal == nil {
		return "", false, err
	}
	return answer.Refusal.Rule, true, nil
}
