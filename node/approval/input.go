package approval

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Input is what a policy decides on: the document input of the Rego language.
type Input struct {
	// Query is the question's id, Question the digest of what it asks, the same
	// whoever asks it and in which words.
	Query    query.ID       `json:"query"`
	Question message.Digest `json:"question"`

	Trial      trial.ID     `json:"trial"`
	Researcher identity.DID `json:"researcher"`
	Purpose    string       `json:"purpose"`

	// Node is this site's, Sites are all of the trial as its design names them, over which
	// the answer would be pooled.
	Node  identity.DID   `json:"node"`
	Sites []identity.DID `json:"sites"`

	Analysis    string             `json:"analysis"` // its kind
	Stratifiers []query.Stratifier `json:"stratifiers"`
	Variable    int64              `json:"variable,omitempty"` // concept of what is measured
	query.Specs                    // what a method in rounds takes, in the field of its name

	// Domains are the OMOP tables read, Concepts the concepts named, both sorted.
	// AnyConcept says that a domain is read whatever the concept.
	Domains    []cohort.Domain `json:"domains"`
	Concepts   []int64         `json:"concepts"`
	AnyConcept bool            `json:"anyConcept"`

	// Named are those of Concepts that the site's vocabulary has, as it has them. What the
	// researcher calls a concept is in no part of the input.
	Named []Named `json:"named"`

	// Datasets are the data sets read, sorted, Dataset the one in place of a cohort.
	Datasets []string `json:"datasets"`
	Dataset  string   `json:"dataset,omitempty"`

	// Size is the band of how many persons the question would use here. A policy
	// that refuses by it tells the researcher the band. It is counted only for a policy
	// that decides by it: such a policy lets a question be evaluated before people see it.
	Size Band `json:"size"`

	// Earlier are the newest verdicts, up to 100, of people here about the same Question:
	// refusals, and approvals with the same Hub and Limits.
	Earlier []Earlier `json:"earlier"`

	// Approvers is how many people may decide at this site.
	Approvers int `json:"approvers"`

	Hub    disclosure.Policy `json:"hub"`    // what the hub demands
	Limits disclosure.Policy `json:"limits"` // what applies, the strictest of all
	Now    Clock             `json:"now"`
}

// Named is a concept as the site's vocabulary has it.
type Named struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Domain     string `json:"domain"`     // for example "Measurement"
	Vocabulary string `json:"vocabulary"` // for example "LOINC"
	Code       string `json:"code"`       // in that vocabulary
}

// name fills in what the site calls the concepts.
func (in *Input) name(ctx context.Context, v Names) error {
	in.Named = []Named{}
	if v == nil {
		return nil
	}
	known, err := v.Concepts(ctx, in.Concepts)
	for _, id := range in.Concepts {
		if c, is := known[id]; is {
			in.Named = append(in.Named, Named{c.ID, c.Name, c.Domain, c.Vocabulary, c.Code})
		}
	}
	return err
}

// Earlier is a verdict about the same question.
type Earlier struct {
	Researcher identity.DID `json:"researcher"` // who asked
	Gate       Gate         `json:"gate"`
	Approved   bool         `json:"approved"`
	At         time.Time    `json:"at"`
}

// Clock is a moment, as the site's clocks show it.
type Clock struct {
	Time    time.Time `json:"time"`
	Hour    int       `json:"hour"`    // 0 to 23, local
	Weekday string    `json:"weekday"` // Monday to Sunday, local
}

func clock(now time.Time) Clock {
	return Clock{Time: now.UTC().Truncate(time.Second), Hour: now.Hour(), Weekday: now.Weekday().String()}
}

// Band is a number of persons, coarsely. Bands are for the node's own people and
// its policy and are never sent.
type Band string

// The bands.
const (
	Under11   Band = "fewer than 11"
	Under101  Band = "11 to 100"
	Under1001 Band = "101 to 1,000"
	Under10k  Band = "1,001 to 10,000"
	Over10k   Band = "more than 10,000"

	// Uncounted is kept where the decision is the same for all bands. No policy sees it.
	Uncounted Band = "not counted"
)

var bands = []Band{Under11, Under101, Under1001, Under10k, Over10k}

// BandOf returns the band of n persons.
func BandOf(n int) Band {
	switch {
	case n < 11:
		return Under11
	case n <= 100:
		return Under101
	case n <= 1000:
		return Under1001
	case n <= 10_000:
		return Under10k
	}
	return Over10k
}

// touched fills in what of the site's data a request reads.
func (in *Input) touched(r query.Request) error {
	in.Dataset, in.Datasets = r.Dataset, append([]string{}, r.Datasets()...)
	var d cohort.Definition
	if r.Dataset == "" {
		var err error
		if d, err = r.Definition(); err != nil {
			return err
		}
		d = d.Normal() // without sets that nothing uses
	} else {
		in.Domains = append(in.Domains, cohort.Person)
	}
	in.Domains = append(in.Domains, d.Reads()...)
	in.AnyConcept = in.AnyConcept || len(d.Whole()) > 0
	for _, set := range d.ConceptSets {
		for _, item := range set.Items {
			if !item.Excluded {
				in.Concepts = append(in.Concepts, item.Concept)
			}
		}
	}
	if v := r.Analysis.Variable; v != nil {
		in.Domains = append(in.Domains, cohort.Measurement)
		in.Concepts = append(in.Concepts, v.Concept)
		in.Variable = v.Concept
	}
	for _, c := range r.Analysis.Columns {
		in.Domains = append(in.Domains, c.Reads())
		in.Concepts = append(in.Concepts, c.Concepts...)
	}
	in.Specs = r.Analysis.Specs
	in.Domains, in.Concepts = distinct(in.Domains), distinct(in.Concepts)
	in.Analysis, in.Stratifiers = string(r.Analysis.Kind), append([]query.Stratifier{}, r.Analysis.By...)
	return nil
}

// distinct returns the values sorted, each once, never nil.
func distinct[T cmp.Ordered](list []T) []T {
	sorted := append([]T{}, list...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
