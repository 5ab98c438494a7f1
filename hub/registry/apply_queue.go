package registry

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// QueueLimits bound the questions that are open, those that wait for their turn
// included. They are the proposer's settings and travel in the command, so that
// every replica judges by the same.
type QueueLimits struct {
	// Each is how many a researcher may have open, at least 1.
	Each int `json:"each"`

	// All is how many may be open together, at least 1. Whoever has none open may
	// ask one all the same, or those who ask much would lock the others out.
	All int `json:"all"`
}

// DefaultQueue is what a hub takes that is told nothing else.
var DefaultQueue = QueueLimits{Each: 1000, All: 10_000}

// unqueued are the limits of [AskQuestion], from when every open question was
// driven at once.
var unqueued = QueueLimits{Each: 8, All: math.MaxInt}

// ErrQueueFull refuses a question while too many are open at the hub.
var ErrQueueFull = &problem.Error{Kind: problem.TooMany, Rule: "registry.queue-full", Public: "too many questions are open at the hub: wait for an answer to yours, or ask later"}

// OpenQuestions refuses a question of a researcher who has n open, as many as one may have.
func OpenQuestions(n int) error {
	return &problem.Error{
		Kind: problem.TooMany, Rule: "registry.open-questions",
		Public: fmt.Sprintf("the researcher has %d questions open: wait for an answer before asking the next", n),
	}
}

// Validate reports limits that would let nobody ask.
func (l QueueLimits) Validate() error {
	if l.Each < 1 || l.All < 1 {
		return problem.New(problem.Invalid, "queue: at least one question for each and in all")
	}
	return nil
}

// askQuestion is queueQuestion as it was before there was a queue.
func (s step) askQuestion(c AskQuestion) (Outcome, error) {
	return s.ask(QueueQuestion{Envelope: c.Envelope, Deadline: c.Deadline, Priority: query.Normal, Limits: unqueued}, false)
}

func (s step) queueQuestion(c QueueQuestion) (Outcome, error) {
	if c.Priority == "" {
		c.Priority = query.Normal
	}
	if !c.Priority.Known() {
		return Outcome{}, problem.New(problem.Invalid, "priority: low, normal or high")
	}
	if err := c.Limits.Validate(); err != nil {
		return Outcome{}, err
	}
	return s.ask(c, false)
}

// mayAsk refuses a researcher who has as many questions open as one may have, or
// any while too many are open at the hub.
func (s step) mayAsk(researcher identity.DID, l QueueLimits) error {
	var own, all int
	if err := s.tx.QueryRow(s.ctx, `SELECT count(*) FROM question WHERE state = ? AND researcher = ?`, query.Open, researcher).Scan(&own); err != nil {
		return err
	}
	if err := s.tx.QueryRow(s.ctx, `SELECT count(*) FROM question WHERE state = ?`, query.Open).Scan(&all); err != nil {
		return err
	}
	switch {
	case own >= l.Each:
		return OpenQuestions(l.Each)
	case own > 0 && all >= l.All:
		return ErrQueueFull
	}
	return nil
}
