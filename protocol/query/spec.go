package query

import (
	"reflect"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/formula"
)

// spec is what a question says of a method in rounds, besides its columns.
type spec interface {
	// columns returns the names of the columns that it reads.
	columns() ([]string, error)

	// answeredBy reports whether an outcome is of the method.
	answeredBy(Outcome) bool

	// words says what is asked in plain English.
	words() string
}

// Specs are what a question says of its method, in the field of the method's name.
// [Analysis] has exactly that of its kind.
type Specs struct {
	GLM          *GLMSpec          `json:"glm,omitempty"`
	Cox          *CoxSpec          `json:"cox,omitempty"`
	KaplanMeier  *KaplanMeierSpec  `json:"kaplanMeier,omitempty"`
	CrossTab     *CrossTabSpec     `json:"crosstab,omitempty"`
	Describe     *DescribeSpec     `json:"describe,omitempty"`
	Quantiles    *QuantilesSpec    `json:"quantiles,omitempty"`
	Histogram    *HistogramSpec    `json:"histogram,omitempty"`
	Characterize *CharacterizeSpec `json:"characterize,omitempty"`
	Incidence    *IncidenceSpec    `json:"incidence,omitempty"`
	Prevalence   *PrevalenceSpec   `json:"prevalence,omitempty"`
	NegBin       *NegBinSpec       `json:"negativeBinomial,omitempty"`
	MixedModel   *MixedModelSpec   `json:"mixedModel,omitempty"`
	Meta         *MetaSpec         `json:"metaAnalysis,omitempty"`
	PCA          *PCASpec          `json:"pca,omitempty"`
	KMeans       *KMeansSpec       `json:"kMeans,omitempty"`
	Propensity   *PropensitySpec   `json:"propensity,omitempty"`
	Predict      *PredictSpec      `json:"prediction,omitempty"`
	Comparison   *ComparisonSpec   `json:"comparison,omitempty"`

	ConditionalLogistic *ConditionalLogisticSpec `json:"conditionalLogistic,omitempty"`
	CaseSeries          *CaseSeriesSpec          `json:"selfControlledCaseSeries,omitempty"`
	ODAL                *ODALSpec                `json:"odal,omitempty"`
	ODAC                *ODACSpec                `json:"odac,omitempty"`
}

// of returns the spec of a kind, nil if it is not there, and whether it is the only one.
func (s Specs) of(kind AnalysisKind) (found spec, only bool) {
	all := map[AnalysisKind]spec{
		GLM: s.GLM, Cox: s.Cox, KaplanMeier: s.KaplanMeier, CrossTab: s.CrossTab, Describe: s.Describe, Quantiles: s.Quantiles,
		Histogram: s.Histogram, Characterize: s.Characterize, Incidence: s.Incidence, Prevalence: s.Prevalence,
		NegBin: s.NegBin, MixedModel: s.MixedModel, Meta: s.Meta, PCA: s.PCA, KMeans: s.KMeans, Propensity: s.Propensity, Predict: s.Predict,
		Compare: s.Comparison, ConditionalLogistic: s.ConditionalLogistic, CaseSeries: s.CaseSeries, ODAL: s.ODAL, ODAC: s.ODAC,
	}
	only = true
	for k, its := range all {
		switch there := !reflect.ValueOf(its).IsNil(); {
		case there && k == kind:
			found = its
		case there:
			only = false
		}
	}
	return found, only
}

// normal returns the specs with their formulas in one form.
func (s Specs) normal() Specs {
	s.GLM = plain(s.GLM, func(m *GLMSpec) *string { return &m.Formula })
	s.Cox = plain(s.Cox, func(m *CoxSpec) *string { return &m.Formula })
	s.KaplanMeier = plain(s.KaplanMeier, func(m *KaplanMeierSpec) *string { return &m.Formula })
	s.NegBin = plain(s.NegBin, func(m *NegBinSpec) *string { return &m.Formula })
	s.MixedModel = plain(s.MixedModel, func(m *MixedModelSpec) *string { return &m.Formula })
	s.Propensity = plain(s.Propensity, func(m *PropensitySpec) *string { return &m.Treatment })
	s.Propensity = plain(s.Propensity, func(m *PropensitySpec) *string { return &m.Outcome })
	s.Predict = plain(s.Predict, func(m *PredictSpec) *string { return &m.Formula })
	s.Comparison = plain(s.Comparison, func(m *ComparisonSpec) *string { return &m.Treatment })
	s.Comparison = plain(s.Comparison, func(m *ComparisonSpec) *string { return &m.Outcome })
	s.ConditionalLogistic = plain(s.ConditionalLogistic, func(m *ConditionalLogisticSpec) *string { return &m.Formula })
	s.ODAL = plain(s.ODAL, func(m *ODALSpec) *string { return &m.Formula })
	s.ODAC = plain(s.ODAC, func(m *ODACSpec) *string { return &m.Formula })
	return s
}

// plain returns a copy of a spec with its formula's terms written out.
func plain[S any](spec *S, text func(*S) *string) *S {
	if spec == nil {
		return nil
	}
	out := *spec
	if f, err := formula.Parse(*text(&out)); err == nil {
		*text(&out) = f.String()
	}
	return &out
}

// named returns the columns that a formula names, and others, of which "" is none.
func named(text string, others ...string) ([]string, error) {
	f, err := formula.Parse(text)
	if err != nil {
		return nil, err
	}
	return with(f.Columns(), others...), nil
}

// with returns names, and others, of which "" is none; each once.
func with(names []string, others ...string) []string {
	var out []string
	for _, name := range slices.Concat(names, slices.DeleteFunc(others, func(o string) bool { return o == "" })) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// missing names the first field that a spec has to have and has not, "" if all are there: a
// text or a list that its JSON never leaves out.
func missing(s spec) string {
	v := reflect.ValueOf(s).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if kind := f.Type.Kind(); options == "" && (kind == reflect.String || kind == reflect.Slice) && v.FieldByIndex(f.Index).Len() == 0 {
			return name
		}
	}
	return ""
}

// by says in words that something is also asked for each level of a column.
func by(column string) string {
	if column == "" {
		return ""
	}
	return ", also by " + column
}

// Named returns the names of the columns that a method in rounds reads, none for the others.
func (a Analysis) Named() ([]string, error) {
	s, _ := a.of(a.Kind)
	if s == nil {
		return nil, nil
	}
	return s.columns()
}
