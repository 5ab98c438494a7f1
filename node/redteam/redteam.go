// Package redteam attacks a node's release gate as the literature does, and says
// what came of it.
//
// [Run] takes the site's own persons, with made-up ones if they are few, and its own
// policy, but a gate with a memory of its own that is thrown away: attacks must not use
// up what honest questions may still learn, nor be answered from what was released
// before. The attacker is stronger than a real one: he is taken to have found cohort
// definitions that select exactly the persons he wants, and he reads this site's vector,
// without the masks. Each attack ends in a [Finding]: what he learned of a few persons,
// how far off his best guess may still be, and the rule that stopped him. Findings hold
// no number about the persons.
//
// Attacks a to j are those that a federation has to withstand by the project's survey
// of the field, beginning with Huth et al., "Accessible data curation and analytics for
// federated platforms: reconstruction from DataSHIELD", Bioinformatics 39(9), 2023; the
// others are this project's own.
package redteam

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Outcome is how an attack ended.
type Outcome string

// The outcomes. Only the last is a failure of the node.
const (
	Refused   Outcome = "refused"   // the decisive question was refused
	Blunted   Outcome = "blunted"   // it was answered, but tells no more than the policy lets out
	Succeeded Outcome = "succeeded" // it tells more
)

// Finding is what came of one attack.
type Finding struct {
	Attack  string  `json:"attack" doc:"Letter of the attack"`
	Name    string  `json:"name" doc:"What the attacker does"`
	Outcome Outcome `json:"outcome" doc:"refused, blunted or succeeded"`
	Rule    string  `json:"rule,omitempty" doc:"The rule that refused or blunted"`
	Learned string  `json:"learned" doc:"What the attacker knows now"`

	// Off is by how many persons, up or down, the attacker's best guess of a number he
	// was after may be wrong; absent where he got no further than asking.
	Off *float64 `json:"off,omitempty" doc:"By how many persons the best guess may be wrong"`
}

// Report is what came of all attacks.
type Report struct {
	Began    time.Time `json:"began"`
	Persons  int       `json:"persons" doc:"Persons of the site who were used, rounded down to hundreds"`
	MadeUp   bool      `json:"madeUp" doc:"Made-up persons stood in for those that a site has too few of"`
	Findings []Finding `json:"findings"`

	// Withstood says that none succeeded.
	Withstood bool `json:"withstood"`
}

// leastPersons is how many persons the attacks need, and mostPersons how many of the site's
// they use.
const (
	leastPersons = 400
	mostPersons  = 1000
)

// Config configures [Run]. All fields are required.
type Config struct {
	// Dir is a folder of the site's own, for the memory of the gates under attack.
	Dir string

	// Policy is the strictest of the site's and the hub's.
	Policy disclosure.Policy

	// Persons are the site's. Made-up ones join them up to 400.
	Persons []omop.PersonID

	Now func() time.Time
}

// Run makes every attack. An error is that of a machine: what succeeded stands in the
// report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	own := cfg.Persons[:min(len(cfg.Persons), mostPersons)]
	persons, err := joined(own)
	if err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "redteam-") // mode 0700
	if err != nil {
		return Report{}, fmt.Errorf("red team: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left holds numbers of persons only
	report := Report{Began: cfg.Now().UTC(), Persons: len(own) / 100 * 100, MadeUp: len(own) < len(persons), Withstood: true}
	for _, a := range attacks {
		t := &target{policy: cfg.Policy, persons: persons, dsn: "sqlite:" + filepath.Join(dir, a.letter+".db"), now: report.Began}
		f, err := t.suffer(ctx, a)
		if err != nil {
			return Report{}, fmt.Errorf("red team: attack %s: %w", a.letter, err)
		}
		report.Findings = append(report.Findings, f)
		report.Withstood = report.Withstood && f.Outcome != Succeeded
	}
	return report, nil
}

// joined returns the site's persons, and made-up ones after them if they are fewer than the
// attacks need. A gate knows persons by number alone, and an attack makes up what it says of
// them, so that those are attacked as the site's own are.
func joined(own []omop.PersonID) ([]omop.PersonID, error) {
	taken := make(map[omop.PersonID]bool, len(own))
	for _, p := range own {
		taken[p] = true
	}
	all := slices.Clone(own)
	for number := int64(1); len(all) < leastPersons; number++ {
		var p omop.PersonID
		if err := p.Scan(number); err != nil {
			return nil, fmt.Errorf("red team: %w", err)
		}
		if !taken[p] {
			all = append(all, p)
		}
	}
	return all, nil
}

// attack is one of the attacks.
type attack struct {
	letter, name string
	run          func(ctx context.Context, t *target) (Finding, error)
}

// Letters name the attacks, in order.
func Letters() (list []string) {
	for _, a := range attacks {
		list = append(list, a.letter)
	}
	return list
}

// target is a gate under one attack.
type target struct {
	policy  disclosure.Policy
	persons []omop.PersonID
	dsn     string
	now     time.Time

	db   *sqldb.DB
	gate *release.Gate
}

func (t *target) suffer(ctx context.Context, a attack) (f Finding, err error) {
	if err := t.restart(ctx); err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, t.db.Close()) }()
	f, err = a.run(ctx, t)
	f.Attack, f.Name = a.letter, a.name
	return f, err
}

// restart starts the gate anew on its memory.
func (t *target) restart(ctx context.Context) error {
	if t.db != nil {
		if err := t.db.Close(); err != nil {
			return err
		}
	}
	var err error
	if t.db, err = sqldb.Open(ctx, sqldb.Config{DSN: t.dsn}); err != nil {
		return err
	}
	t.gate, err = release.Open(ctx, t.db)
	return err
}

// cohort is some of the site's persons, by place.
type cohort []int

// from returns the persons from one place to before another.
func from(first, end int) (c cohort) {
	for i := first; i < end; i++ {
		c = append(c, i)
	}
	return c
}

// question is one question of the attacker's.
type question struct {
	about      string // what makes it the same question as another
	cells      []cohort
	nested     bool // each cell is a part of the one before
	researcher identity.DID
	change     func(*disclosure.Policy)
}

// count asks, and returns the shown cells.
func (t *target) count(ctx context.Context, q question) ([]cell, error) {
	_, cells, err := t.ask(ctx, q)
	return cells, err
}

// cell is one released cell of a count.
type cell struct {
	n        int
	withheld bool
}

func (t *target) ask(ctx context.Context, q question) (asked release.Question, cells []cell, err error) {
	asked = release.Question{Same: message.Sum([]byte(q.about)), Trial: "red-team", Researcher: q.researcher, Policy: t.policy}
	if asked.Researcher == "" {
		asked.Researcher = "did:key:attacker"
	}
	if q.change != nil {
		q.change(&asked.Policy)
	}
	if _, err := rand.Read(asked.ID[:]); err != nil {
		return asked, nil, err
	}
	a := release.Answer{Measure: "persons", Nested: q.nested}
	sets := make([][]omop.PersonID, len(q.cells))
	for i, c := range q.cells {
		for _, place := range c {
			sets[i] = append(sets[i], t.persons[place])
		}
		a.Table.Cells = append(a.Table.Cells, analysis.Cell{N: int64(len(c))})
		a.Used = append(a.Used, sets[i]...)
	}
	a.Sets = map[string][][]omop.PersonID{a.Measure: sets}
	r, err := t.gate.Release(ctx, asked, a, t.now)
	if err != nil {
		return asked, nil, err
	}
	for words := r.Words(); len(words) > 0; words = words[2:] {
		cells = append(cells, cell{int(words[0]), words[1] == 1})
	}
	return asked, cells, nil
}

// refusal returns the finding if err is a refusal, or err.
func refusal(err error, learned string) (Finding, error) {
	var e *problem.Error
	if !errors.As(err, &e) {
		return Finding{}, err
	}
	return Finding{Outcome: Refused, Rule: e.Rule, Learned: learned}, nil
}
