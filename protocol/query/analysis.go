package query

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// AnalysisKind is a method of the closed list.
type AnalysisKind string

// The methods.
const (
	// Count counts the cohort's persons, per cell of By.
	Count AnalysisKind = "count"
	// Moments gives n, mean and standard deviation of Variable, per cell of By.
	Moments AnalysisKind = "moments"
	// GLM fits the generalized linear model Model.
	GLM AnalysisKind = "glm"
)

// Known reports whether k is on the list.
func (k AnalysisKind) Known() bool { return k == Count || k == Moments || k == GLM }

// InRounds reports whether a method takes several sums, each at a state that follows from
// the ones before.
func (k AnalysisKind) InRounds() bool { return k == GLM }

// Analysis is what to compute over a cohort.
type Analysis struct {
	Kind AnalysisKind `json:"kind"`

	// By splits the cohort, at most MaxBy stratifiers, each once.
	By []Stratifier `json:"by,omitempty"`

	// Variable is required for Moments and absent for the others.
	Variable *Variable `json:"variable,omitempty"`

	// Model is required for GLM and absent for the others.
	Model *Model `json:"model,omitempty"`
}

// MaxBy is how many stratifiers may be crossed.
const MaxBy = 3

// Variable is a measured quantity, one value a person.
type Variable struct {
	// Concept is the standard OMOP concept of the measurement.
	Concept int64 `json:"concept"`

	// Unit is the UCUM code values must be in, for example "mm[Hg]".
	Unit string `json:"unit"`

	// Take says which of a person's values counts; only "last".
	Take string `json:"take"`

	// Low and High bound plausible values in Unit. A person whose value is
	// outside has none, and sums travel relative to this range.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// TakeLast selects a person's latest value.
const TakeLast = "last"

// Stratifier is a way of splitting persons whose levels are fixed here, so
// that no question can choose cells that single somebody out.
type Stratifier string

// The stratifiers.
const (
	BySex      Stratifier = "sex"
	ByAgeGroup Stratifier = "age-group"
	ByRace     Stratifier = "race"
)

// Level is one value of a stratifier.
type Level struct {
	Name     string
	Concepts []int64 // OMOP concepts of the level; none for age groups and for "other"
	MinAge   int     // years at cohort entry, inclusive; age groups only
	MaxAge   int     // years at cohort entry, inclusive; age groups only
}

// Levels returns the levels in their fixed order, nil for an unknown stratifier.
// The last level of sex and race takes whoever fits none before.
//
// Source: OMOP standard vocabularies Gender (8507, 8532) and Race (OMB, 1997).
func (s Stratifier) Levels() []Level {
	switch s {
	case BySex:
		return []Level{{Name: "female", Concepts: []int64{8532}}, {Name: "male", Concepts: []int64{8507}}, {Name: "other or unknown"}}
	case ByRace:
		return []Level{
			{Name: "american indian or alaska native", Concepts: []int64{8657}},
			{Name: "asian", Concepts: []int64{8515}},
			{Name: "black or african american", Concepts: []int64{8516}},
			{Name: "native hawaiian or other pacific islander", Concepts: []int64{8557}},
			{Name: "white", Concepts: []int64{8527}},
			{Name: "other or unknown"},
		}
	case ByAgeGroup:
		return []Level{
			{Name: "0-17", MaxAge: 17},
			{Name: "18-39", MinAge: 18, MaxAge: 39},
			{Name: "40-64", MinAge: 40, MaxAge: 64},
			{Name: "65+", MinAge: 65, MaxAge: math.MaxInt32},
		}
	}
	return nil
}

// Names returns the levels' names.
func (s Stratifier) Names() []string {
	var names []string
	for _, l := range s.Levels() {
		names = append(names, l.Name)
	}
	return names
}

// Validate reports the first thing that is wrong with the analysis.
func (a Analysis) Validate() error {
	if len(a.By) > MaxBy {
		return invalid(fmt.Sprintf("analysis.by: at most %d stratifiers", MaxBy))
	}
	seen := make(map[Stratifier]bool)
	for i, s := range a.By {
		if s.Levels() == nil {
			return invalid(fmt.Sprintf("analysis.by[%d]: unknown stratifier; known are sex, age-group, race", i))
		}
		if seen[s] {
			return invalid(fmt.Sprintf("analysis.by[%d]: stands twice", i))
		}
		seen[s] = true
	}
	if a.Model != nil && a.Kind != GLM {
		return invalid("analysis.model: only a glm has one")
	}
	switch a.Kind {
	case Count:
		if a.Variable != nil {
			return invalid("analysis.variable: a count has none")
		}
		return nil
	case GLM:
		if a.Variable != nil || len(a.By) > 0 {
			return invalid("analysis: a glm has neither variable nor by; name columns in its formula")
		}
		return a.Model.validate()
	case Moments:
		if a.Variable == nil {
			return invalid("analysis.variable: is missing")
		}
		return a.Variable.validate()
	}
	return invalid("analysis.kind: unknown; known are count, moments, glm")
}

func (v Variable) validate() error {
	switch {
	case v.Concept <= 0:
		return invalid("analysis.variable.concept: must be a positive concept id")
	case v.Unit == "" || len(v.Unit) > 64:
		return invalid("analysis.variable.unit: a UCUM code of 1 to 64 bytes")
	case v.Take != TakeLast:
		return invalid(`analysis.variable.take: must be "last"`)
	case !(v.Low < v.High) || !Scalable(v.Low, v.High):
		return invalid("analysis.variable: low must lie below high, and the larger of them in magnitude within 1e-9 and 1e9")
	}
	return nil
}

// Scalable reports whether a range can be asked about: the larger of the bounds,
// in magnitude, is within 2^-30 and 2^30.
func Scalable(low, high float64) bool {
	largest := max(math.Abs(low), math.Abs(high))
	return 0x1p-30 <= largest && largest <= 0x1p30
}

func invalid(detail string) error { return problem.New(problem.Invalid, "query: "+detail) }
