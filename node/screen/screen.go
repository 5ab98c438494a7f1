// Package screen finds the trials of a site that a patient may be eligible for.
//
// A [Rule] names a trial and its criteria, each a cohort in the language of
// protocol/cohort; [Rules] keeps those of the site. [Screener.Screen] compares one
// patient with all of them, as questions evaluate cohorts, and returns a [Match]
// for each trial against which nothing speaks: neither a criterion nor the patient's own
// word. It decides nothing else: a match is a reason to look closer, and names what
// could not be told. DESIGN.md says how absence is read.
//
// What is asked names a patient, so [Case] neither prints nor marshals. What is answered
// holds the words of the rule and no value of the patient's record.
package screen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Vocabulary resolves concept sets.
type Vocabulary interface {
	events.Vocabulary
	eventindex.Vocabulary
}

// Consents knows what patients said; consent.Book is one.
type Consents interface {
	// Said returns the last word of a person about a trial.
	Said(ctx context.Context, tx *sqldb.Tx, p omop.PersonID, id trial.ID, at time.Time) (consent.Word, error)
}

// Config configures a [Screener]. All fields are required.
type Config struct {
	DB         *sqldb.DB
	People     *omop.Store
	Rules      *Rules
	Vocabulary Vocabulary
	Consents   Consents
}

// Screener compares patients with the rules. It is safe for concurrent use.
type Screener struct {
	cfg Config

	mu       sync.Mutex
	compiled map[string]compiled // by digest; guarded by mu
}

// compiled is a rule with the cohorts of its criteria.
type compiled struct {
	Rule
	cohorts []cohort.Definition
}

// New returns a Screener.
func New(cfg Config) (*Screener, error) {
	if cfg.DB == nil || cfg.People == nil || cfg.Rules == nil || cfg.Vocabulary == nil || cfg.Consents == nil {
		return nil, errors.New("screen: db, people, rules, vocabulary and consents are required")
	}
	return &Screener{cfg: cfg, compiled: map[string]compiled{}}, nil
}

// Case is whom a clinician has in front of them.
type Case struct {
	private

	// Patient is the id of their FHIR Patient.
	Patient string

	// Known is what the clinician's own system says of them, against a patient of
	// another system who has the same id. Zero for nothing.
	Known Known

	// Drafts are the concepts of orders that are not signed yet.
	Drafts []vocab.Concept
}

// Match is a trial that a patient may be eligible for.
type Match struct {
	Rule Rule

	// Granted says that the patient's consent to the trial is in force.
	Granted bool

	// Results are those of Rule.Criteria, in their order.
	Results []Result
}

// Screen returns the trials against which nothing speaks and of which one criterion at
// least is met, in the order of their ids. It returns none for a patient who is not
// known, who is another than Case.Known, who is dead, or who refused to be asked.
func (s *Screener) Screen(ctx context.Context, c Case, now time.Time) ([]Match, error) {
	var list []compiled
	var words []consent.Word
	var patient *eventindex.Single
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		key := mapping.PersonKey(c.Patient)
		found, err := s.cfg.People.PersonsByKey(ctx, tx, []omop.Key{key})
		if err != nil {
			return err
		}
		person, there := found[key]
		if !there || person.Death != nil || !c.Known.fits(person) {
			return nil
		}
		word, err := s.cfg.Consents.Said(ctx, tx, person.ID, consent.SiteResearch, now)
		if err != nil || word == consent.Refused {
			return err
		}
		if list, err = s.rules(ctx, tx); err != nil || len(list) == 0 {
			return err
		}
		words = make([]consent.Word, len(list))
		for i, r := range list {
			if words[i], err = s.cfg.Consents.Said(ctx, tx, person.ID, r.Trial, now); err != nil {
				return err
			}
		}
		patient, err = eventindex.ReadSingle(ctx, tx, s.cfg.People, s.cfg.Vocabulary, person.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("screen: %w", err)
	}
	if patient == nil {
		return nil, nil
	}
	var matches []Match
	look := s.newLook(patient, c.Drafts, events.Day(sqldb.DateOf(now)))
	for i, r := range list {
		m, ok, err := look.match(ctx, r, words[i])
		if err != nil {
			return nil, fmt.Errorf("screen: trial %s: %w", r.Trial, err)
		}
		if ok {
			matches = append(matches, m)
		}
	}
	return matches, nil
}

// rules returns all rules, read again only where one has changed.
func (s *Screener) rules(ctx context.Context, tx *sqldb.Tx) ([]compiled, error) {
	marks, err := s.cfg.Rules.marks(ctx, tx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list, fresh := make([]compiled, len(marks)), make(map[string]compiled, len(marks))
	for i, m := range marks {
		r, known := s.compiled[m.digest]
		if !known {
			if r.Rule, err = s.cfg.Rules.rule(ctx, tx, m.trial); err != nil {
				return nil, err
			}
			if r.cohorts, err = r.compile(); err != nil {
				return nil, fmt.Errorf("stored rule for %s: %w", m.trial, err)
			}
		}
		list[i], fresh[m.digest] = r, r
	}
	s.compiled = fresh
	return list, nil
}
