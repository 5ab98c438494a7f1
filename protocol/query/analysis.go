package query

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// AnalysisKind is a method of the closed list.
type AnalysisKind string

// The methods.
const (
	// Count counts the cohort's persons, per cell of By.
	Count AnalysisKind = "count"
	// Moments gives n, mean and standard deviation of Variable, per cell of By.
	Moments AnalysisKind = "moments"
)

// The methods in rounds, over Columns. [Specs] say what each takes.
const (
	GLM          AnalysisKind = "glm"
	Cox          AnalysisKind = "cox"
	KaplanMeier  AnalysisKind = "kaplan-meier"
	CrossTab     AnalysisKind = "crosstab"
	Describe     AnalysisKind = "describe"
	Quantiles    AnalysisKind = "quantiles"
	Histogram    AnalysisKind = "histogram"
	Characterize AnalysisKind = "characterize"
	Incidence    AnalysisKind = "incidence"
	Prevalence   AnalysisKind = "prevalence"
	NegBin       AnalysisKind = "negative-binomial"
	MixedModel   AnalysisKind = "mixed-model"
	Meta         AnalysisKind = "meta-analysis"
	PCA          AnalysisKind = "pca"
	KMeans       AnalysisKind = "k-means"
	Propensity   AnalysisKind = "propensity"
	Predict      AnalysisKind = "prediction"
	Compare      AnalysisKind = "comparison"

	ConditionalLogistic AnalysisKind = "conditional-logistic"
	CaseSeries          AnalysisKind = "self-controlled-case-series"
	ODAL                AnalysisKind = "odal"
	ODAC                AnalysisKind = "odac"
)

// Kinds returns the list.
func Kinds() []AnalysisKind {
	return append([]AnalysisKind{Count, Moments}, rounds...)
}

var rounds = []AnalysisKind{
	GLM, Cox, KaplanMeier, CrossTab, Describe, Quantiles, Histogram, Characterize, Incidence, Prevalence,
	NegBin, MixedModel, Meta, PCA, KMeans, Propensity, Predict, Compare, ConditionalLogistic, CaseSeries, ODAL, ODAC,
}

// Known reports whether k is on the list.
func (k AnalysisKind) Known() bool { return slices.Contains(Kinds(), k) }

// InRounds reports whether a method takes sums, each at a state that follows from the
// ones before, over a frame of columns: one sum or several.
func (k AnalysisKind) InRounds() bool { return slices.Contains(rounds, k) }

// HasThreshold reports whether what a method in rounds shows depends on the least cell of
// the limits. The others show no number of persons but that of all.
func (k AnalysisKind) HasThreshold() bool {
	switch k {
	case GLM, Describe, NegBin, MixedModel, PCA:
		return false
	}
	return k.InRounds()
}

// Analysis is what to compute over a cohort.
type Analysis struct {
	Kind AnalysisKind `json:"kind"`

	// By splits the cohort, at most MaxBy stratifiers, each once.
	By []Stratifier `json:"by,omitempty"`

	// Attrition asks a Count for the persons whom each of the cohort's inclusion rules
	// leaves; see [Request.Axes]. By is absent then.
	Attrition bool `json:"attrition,omitempty"`

	// Variable is required for Moments and absent for the others.
	Variable *Variable `json:"variable,omitempty"`

	// Columns say where a person's values come from. A method in rounds has those that
	// its spec names, the others none.
	Columns []Column `json:"columns,omitempty"`

	Specs
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
			return invalid(fmt.Sprintf("analysis.by[%d]: unknown stratifier%s; known are sex, age-group, race", i, spelling.Hint(string(s), BySex, ByAgeGroup, ByRace)))
		}
		if seen[s] {
			return invalid(fmt.Sprintf("analysis.by[%d]: stands twice", i))
		}
		seen[s] = true
	}
	spec, only := a.of(a.Kind)
	switch {
	case !a.Kind.Known():
		return invalid("analysis.kind: unknown" + spelling.Hint(string(a.Kind), Kinds()...) + "; known are " + list(Kinds()))
	case a.Attrition && (a.Kind != Count || len(a.By) > 0):
		return invalid("analysis.attrition: is for a count without by")
	case !only:
		return invalid(fmt.Sprintf("analysis: what belongs to another method than %s stands there", a.Kind))
	case a.Kind.InRounds():
		return a.validateRounds(spec)
	case len(a.Columns) > 0:
		return invalid(fmt.Sprintf("analysis.columns: a %s has none", a.Kind))
	case a.Kind == Count && a.Variable != nil:
		return invalid("analysis.variable: a count has none")
	case a.Kind == Count:
		return nil
	case a.Variable == nil:
		return invalid("analysis.variable: is missing")
	}
	return a.Variable.validate()
}

// validateRounds checks a method in rounds: its spec names every column, and no others.
func (a Analysis) validateRounds(s spec) error {
	switch {
	case a.Variable != nil || len(a.By) > 0:
		return invalid(fmt.Sprintf("analysis: %s has neither variable nor by; it has columns", a.Kind))
	case s == nil:
		return invalid(fmt.Sprintf("analysis.%s: is missing; it says what the method takes", field(a.Kind)))
	case len(a.Columns) == 0 || len(a.Columns) > MaxColumns:
		return invalid(fmt.Sprintf("analysis.columns: 1 to %d", MaxColumns))
	}
	if name := missing(s); name != "" {
		return invalid(fmt.Sprintf("analysis.%s.%s: is missing", field(a.Kind), name))
	}
	names, err := s.columns()
	if err != nil {
		return err
	}
	declared := make([]string, len(a.Columns))
	for i, c := range a.Columns {
		declared[i] = c.Name
	}
	for i, c := range a.Columns {
		if err := c.validate(i); err != nil {
			return err
		}
		if (c.From == FromDays) != (a.Kind == CaseSeries) {
			return invalid(fmt.Sprintf("analysis.columns[%d].from: the columns of a %s are from %s, and those of no other kind", i, CaseSeries, FromDays))
		}
		if slices.ContainsFunc(a.Columns[:i], func(o Column) bool { return o.Name == c.Name }) {
			return invalid(fmt.Sprintf("analysis.columns[%d].name: stands twice", i))
		}
		if !slices.Contains(names, c.Name) {
			return invalid(fmt.Sprintf("analysis.columns[%d]: analysis.%s does not name it%s", i, field(a.Kind), spelling.Hint(c.Name, unmet(names, declared)...)))
		}
	}
	for _, name := range names {
		if !slices.Contains(declared, name) {
			return invalid(fmt.Sprintf("analysis.columns: there is no %.64q, which analysis.%s names%s", name, field(a.Kind), spelling.Hint(name, declared...)))
		}
	}
	return nil
}

// unmet are the names that no column has.
func unmet(names, columns []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(columns, name) })
}

// field is the name of the field of a kind's spec.
func field(k AnalysisKind) string {
	parts := strings.Split(string(k), "-")
	for i, part := range parts[1:] {
		parts[i+1] = strings.ToUpper(part[:1]) + part[1:]
	}
	return strings.Join(parts, "")
}

func list[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

// Weights names the column with prior weights, "" for none. Whoever has none above 0 is not
// among the persons of the model.
func (a Analysis) Weights() string {
	switch {
	case a.GLM != nil:
		return a.GLM.Weights
	case a.NegBin != nil:
		return a.NegBin.Weights
	case a.Meta != nil && a.Meta.Model != nil:
		return a.Meta.Model.Weights
	}
	return ""
}

// Model is what an analysis fits to the persons' values.
type Model struct {
	Formula string
	Weights string // the column with prior weights, "" for none

	// Linear says that the mean is the linear predictor itself, so that an offset counts as it
	// is. Otherwise what is summed may grow as its exponential does.
	Linear bool

	// Logistic says that the mean rises from 0 to 1, most where the linear predictor is about 0.
	Logistic bool
}

// Models returns the models of an analysis.
func (a Analysis) Models() []Model {
	switch {
	case a.GLM != nil:
		return []Model{a.GLM.model()}
	case a.Cox != nil:
		return []Model{{Formula: a.Cox.Formula}}
	case a.NegBin != nil:
		return []Model{{Formula: a.NegBin.Formula, Weights: a.NegBin.Weights, Linear: a.NegBin.Link == LinkIdentity}}
	case a.MixedModel != nil:
		return []Model{{Formula: a.MixedModel.Formula, Linear: true}}
	case a.Meta != nil && a.Meta.Model != nil:
		return []Model{a.Meta.Model.model()}
	case a.Propensity != nil:
		s := a.Propensity
		return []Model{{Formula: s.Treatment, Logistic: true}, GLMSpec{Formula: s.Outcome, Family: s.Family, Link: s.Link}.model()}
	case a.Comparison != nil:
		return []Model{{Formula: a.Comparison.Treatment, Logistic: true}, {Formula: a.Comparison.Outcome}}
	case a.Predict != nil:
		return []Model{{Formula: a.Predict.Formula, Logistic: true}}
	case a.ConditionalLogistic != nil:
		return []Model{{Formula: a.ConditionalLogistic.Formula}}
	case a.ODAL != nil:
		return []Model{{Formula: a.ODAL.Formula, Logistic: true}}
	case a.ODAC != nil:
		return []Model{{Formula: a.ODAC.Formula}}
	}
	return nil
}

func (s GLMSpec) model() Model {
	return Model{
		Formula: s.Formula, Weights: s.Weights, Linear: s.Link == LinkIdentity || s.Link == "" && s.Family == Gaussian,
		Logistic: s.Link == LinkLogit || s.Link == "" && s.Family == Binomial,
	}
}

// AnsweredBy reports whether an outcome is of a method in rounds that was asked for.
func (a Analysis) AnsweredBy(o Outcome) bool {
	spec, _ := a.of(a.Kind)
	return spec != nil && o.one() && spec.answeredBy(o)
}

// Words says in plain English what is computed over the cohort.
func (a Analysis) Words() string { return a.WordsNamed(byNumber) }

// byNumber names a concept where there is no vocabulary.
func byNumber(concept int64) string { return fmt.Sprintf("concept %d", concept) }

// WordsNamed is [Analysis.Words] for readers with a vocabulary: name says what a concept is.
func (a Analysis) WordsNamed(name func(concept int64) string) string {
	var b strings.Builder
	switch spec, _ := a.of(a.Kind); {
	case a.Attrition:
		b.WriteString("How many persons enter the cohort by its primary criteria, and how many each of its inclusion rules in turn leaves")
	case a.Kind == Count:
		b.WriteString("How many persons are in the cohort")
	case a.Variable != nil:
		v := a.Variable
		fmt.Fprintf(&b, "Analysis %s of each person's %s value of %s in %s, between %g and %g, over the cohort", a.Kind, v.Take, name(v.Concept), v.Unit, v.Low, v.High)
	case spec != nil:
		rows := "one row a person"
		if a.Kind == CaseSeries {
			rows = "of whom those with an event count"
		}
		b.WriteString(spec.words() + a.gridWords() + ", over the cohort, " + rows + ", where")
		for _, c := range a.Columns {
			fmt.Fprintf(&b, "\n  - %s is %s", c.Name, c.words(name))
		}
	default:
		fmt.Fprintf(&b, "Analysis %s over the cohort", a.Kind)
	}
	for i, by := range a.By {
		b.WriteString([]string{", split by ", " and "}[min(i, 1)] + string(by))
	}
	return b.String()
}

// normal returns the analysis with what means nothing, the order of concepts and the
// spaces of a formula, in one form.
func (a Analysis) normal() Analysis {
	a.Specs = a.Specs.normal()
	a.Columns = slices.Clone(a.Columns)
	for i := range a.Columns {
		a.Columns[i].Concepts = slices.Compact(slices.Sorted(slices.Values(a.Columns[i].Concepts)))
		a.Columns[i].Column = a.Columns[i].DatasetColumn()
	}
	return a
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
