// Package query is the closed language of questions and their answers.
//
// A researcher signs a [Request]: a cohort, one [Analysis] of a closed list, a
// purpose. No code and no vectors travel to a node. The hub turns a request
// into [Task] steps for each node and gets signed [Answer] envelopes back; what
// comes out is a [Result]. An [Access] is a node's public proof that consent
// covered every record it used.
package query

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// KindRequest is the kind of a signed question.
const KindRequest message.Kind = "query.request"

// MaxPurpose bounds the stated purpose, in bytes.
const MaxPurpose = 500

// ID names a question: the digest of its signed envelope.
type ID = message.Digest

// Request is one question to the nodes of a trial.
type Request struct {
	Trial trial.ID `json:"trial"`

	// Cohort is an OHDSI cohort definition (Circe JSON); see package cohort. A person's
	// first entry is what counts.
	Cohort json.RawMessage `json:"cohort,omitempty"`

	// Dataset names a data set in place of a cohort: everybody with a row in it is asked
	// about. Nobody enters anything then, so nothing can be relative to the day of entry.
	Dataset string `json:"dataset,omitempty"`

	Analysis Analysis `json:"analysis"`

	// Proof is [ProofResult] where nodes are to prove their figures; nothing otherwise.
	Proof string `json:"proof,omitempty"`

	// Purpose says what the answer is for, in words, for those who approve and
	// those who audit.
	Purpose string `json:"purpose"`

	// Study is there if the request is a question of a saved study.
	Study *Part `json:"study,omitempty"`

	// Schedule is there if the request is an occurrence of a recurring question, which is
	// no study's.
	Schedule *Occurrence `json:"schedule,omitempty"`
}

// Validate reports the first thing that is wrong with the request.
func (r Request) Validate() error {
	var d cohort.Definition
	var err error
	if r.Dataset != "" {
		err = r.validateDataset()
	} else {
		d, err = r.Definition()
	}
	if err != nil {
		return err
	}
	if err := r.validateProof(); err != nil {
		return err
	}
	if r.Analysis.Attrition && len(d.Rules) == 0 {
		return invalid("analysis.attrition: the cohort has no inclusion rules")
	}
	if r.Purpose == "" || len(r.Purpose) > MaxPurpose {
		return problem.New(problem.Invalid, fmt.Sprintf("query: purpose: 1 to %d bytes", MaxPurpose))
	}
	if r.Study != nil {
		if err := r.Study.Validate(); err != nil {
			return err
		}
	}
	if r.Schedule != nil {
		if err := r.Schedule.Validate(); err != nil {
			return err
		}
		if r.Study != nil {
			return problem.New(problem.Invalid, "query: schedule: a question of a study is not asked by a schedule")
		}
	}
	return r.Analysis.Validate()
}

// Definition reads the cohort, of which every element is evaluated. A question over a data
// set alone has none.
func (r Request) Definition() (cohort.Definition, error) {
	d, err := cohort.Read(r.Cohort)
	if err != nil {
		return cohort.Definition{}, err
	}
	return d, d.Evaluable()
}

// Needs returns what a program must know to read the request.
func (r Request) Needs() version.Feature {
	needs := version.Basics
	if !slices.Contains(first, r.Analysis.Kind) {
		needs = max(needs, version.Specs)
	}
	if r.Study != nil {
		needs = max(needs, version.Studies)
	}
	if r.Schedule != nil {
		needs = max(needs, version.Schedules)
	}
	if r.Analysis.Attrition {
		needs = max(needs, version.Attritions)
	}
	if r.Dataset != "" {
		needs = max(needs, version.Datasets)
	}
	if r.Proof != "" {
		needs = max(needs, version.Results)
	}
	return needs
}

// first are the kinds of analysis that every version knows.
var first = []AnalysisKind{Count, Moments}

// Question identifies what is asked, whoever asks it, why and in which words:
// two requests with one Question must get one answer. Names, titles and the
// order of concepts and criteria mean nothing.
func (r Request) Question() (message.Digest, error) {
	var asked *cohort.Definition
	if r.Dataset == "" {
		d, err := r.Definition()
		if err != nil {
			return message.Digest{}, err
		}
		d = d.Normal()
		asked = &d
	}
	raw, err := canonical.Marshal(struct {
		Trial    trial.ID           `json:"trial"`
		Cohort   *cohort.Definition `json:"cohort,omitempty"`
		Dataset  string             `json:"dataset,omitempty"`
		Analysis Analysis           `json:"analysis"`
		Proof    string             `json:"proof,omitempty"`
	}{r.Trial, asked, r.Dataset, r.Analysis.normal(), r.Proof})
	if err != nil {
		return message.Digest{}, fmt.Errorf("query: %w", err)
	}
	return message.Sum(raw), nil
}

// domainScopes say under which of the scopes a domain's records were given. What has no
// scope of its own falls under the nearest: devices and specimens come with procedures.
var domainScopes = map[cohort.Domain]consent.Scope{
	cohort.Person:              consent.Demographics,
	cohort.Death:               consent.Demographics,
	cohort.ConditionOccurrence: consent.Conditions,
	cohort.ConditionEra:        consent.Conditions,
	cohort.DrugExposure:        consent.Medications,
	cohort.DrugEra:             consent.Medications,
	cohort.DoseEra:             consent.Medications,
	cohort.ProcedureOccurrence: consent.Procedures,
	cohort.DeviceExposure:      consent.Procedures,
	cohort.Specimen:            consent.Procedures,
	cohort.Measurement:         consent.Measurements,
	cohort.Observation:         consent.Observations,
	cohort.VisitOccurrence:     consent.Visits,
	cohort.VisitDetail:         consent.Visits,
	cohort.ObservationPeriod:   consent.Visits,
	cohort.PayerPlanPeriod:     consent.Visits,
}

// Scopes returns what a participant must have permitted for this question to
// use their record: every domain it reads, and statistics. Sex, age and race
// are demographics, and so is who has a row in a data set that is asked about.
func (r Request) Scopes() (consent.Mask, error) {
	domains, err := r.whose()
	if err != nil {
		return 0, err
	}
	mask := consent.MaskOf(consent.Statistics)
	for _, domain := range domains {
		scope, known := domainScopes[domain]
		if !known {
			return 0, problem.Refusal("cohort.unsupported", fmt.Sprintf("cohort: no consent covers the domain %s", domain))
		}
		mask |= consent.MaskOf(scope)
	}
	if s := r.Analysis.CaseSeries; len(r.Analysis.By) > 0 || s != nil && len(s.Ages) > 0 {
		mask |= consent.MaskOf(consent.Demographics)
	}
	if r.Analysis.Variable != nil {
		mask |= consent.MaskOf(consent.Measurements)
	}
	for _, c := range r.Analysis.Columns {
		mask |= consent.MaskOf(domainScopes[c.Reads()])
	}
	return mask, nil
}

// whose returns the domains that tell who is asked about.
func (r Request) whose() ([]cohort.Domain, error) {
	if r.Dataset != "" {
		return []cohort.Domain{cohort.Person}, nil
	}
	d, err := r.Definition()
	return d.Reads(), err
}
