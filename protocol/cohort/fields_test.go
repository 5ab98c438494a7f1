package cohort_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// filterOf returns a filter by the field whose every value can be told from others in a
// text, and those values.
func filterOf(field cohort.Field) (cohort.Filter, []string) {
	f := cohort.Filter{Field: field.Name}
	var values []string
	switch field.Kind {
	case cohort.KindNumber:
		f.Number, values = &cohort.NumericRange{Op: "bt", Value: 17.25, Extent: 91.5}, []string{"17.25", "91.5"}
	case cohort.KindInteger:
		f.Number, values = &cohort.NumericRange{Op: "!bt", Value: 17, Extent: 91}, []string{"17", "91", "not"}
	case cohort.KindDate:
		f.Date, values = &cohort.DateRange{Op: "bt", Value: "2011-02-03", Extent: "2012-03-04"}, []string{"2011-02-03", "2012-03-04"}
	case cohort.KindText:
		f.Text, values = &cohort.TextFilter{Op: "!contains", Text: "qwerty"}, []string{"qwerty", "does not contain"}
	case cohort.KindConcepts:
		f.Concepts, f.Names, values = []int64{8532, 8507}, []string{"FEMALE", "MALE"}, []string{"8532", "8507", "FEMALE", "MALE"}
		if f.Exclude = field.Excludes; f.Exclude {
			values = append(values, "none of")
		}
	case cohort.KindSet:
		f.Set, values = &cohort.SetSelection{Set: new(4), Exclusion: true}, []string{"Chosen", "not in"}
	case cohort.KindSource:
		f.Source, values = new(4), []string{"Chosen"}
	case cohort.KindFlag:
		f.Flag = true
	case cohort.KindPeriod:
		f.Period, values = &cohort.Period{Start: "2011-02-03", End: "2012-03-04"}, []string{"2011-02-03", "2012-03-04"}
	default:
		panic(fmt.Sprintf("a field of kind %d", field.Kind))
	}
	return f, append(values, field.Words)
}

// using returns a definition with one primary criterion, or a demographic criterion for
// [cohort.Person], that has the filters.
func using(domain cohort.Domain, filters ...cohort.Filter) cohort.Definition {
	d := cohort.Definition{
		ConceptSets: []cohort.ConceptSet{{ID: 4, Name: "Chosen", Items: []cohort.Item{{Concept: 1, Name: "One"}}}},
		Primary:     cohort.Primary{Limit: cohort.All, Criteria: []cohort.Criterion{{Domain: domain, Filters: filters}}},
		Rules:       nil, QualifiedLimit: cohort.First, ExpressionLimit: cohort.First,
	}
	if domain == cohort.Person {
		d.Primary.Criteria[0] = cohort.Criterion{Domain: cohort.Death}
		d.Additional = &cohort.Group{Type: cohort.AllOf, Demographics: []cohort.Demographic{{Filters: filters}}}
	}
	return d
}

// eachField calls check for every field there is.
func eachField(t *testing.T, check func(t *testing.T, domain cohort.Domain, field cohort.Field)) {
	t.Helper()
	fields := 0
	for _, domain := range append(cohort.Domains(), cohort.Person) {
		for _, field := range domain.Fields() {
			t.Run(string(domain)+"."+field.Name, func(t *testing.T) { check(t, domain, field) })
			fields++
		}
	}
	require.Equal(t, 215, fields) // as many as circe-be declares
}

func TestEveryFieldIsRead(t *testing.T) {
	t.Parallel()
	eachField(t, func(t *testing.T, domain cohort.Domain, field cohort.Field) {
		filter, _ := filterOf(field)
		d := using(domain, filter)
		read, err := cohort.Read(write(t, d))
		require.NoError(t, err)
		require.Equal(t, d, read)
		require.NotEqual(t, using(domain).Normal(), read.Normal())
	})
}

func TestEveryFieldIsExplained(t *testing.T) {
	t.Parallel()
	eachField(t, func(t *testing.T, domain cohort.Domain, field cohort.Field) {
		filter, values := filterOf(field)
		text := using(domain, filter).Explain(10)
		for _, value := range values {
			require.Contains(t, text, value)
		}
		require.NotContains(t, text, "%!")
	})
}

func TestReadsNamesWhatAFieldNeeds(t *testing.T) {
	t.Parallel()
	eachField(t, func(t *testing.T, domain cohort.Domain, field cohort.Field) {
		filter, _ := filterOf(field)
		reads := using(domain, filter).Reads()
		switch name := strings.TrimSuffix(field.Name, "CS"); {
		case domain == cohort.Person || strings.HasPrefix(name, "Age") || name == "Gender":
			require.Contains(t, reads, cohort.Person)
		case name == "VisitType":
			require.Contains(t, reads, cohort.VisitOccurrence)
		default:
			require.Equal(t, []cohort.Domain{domain}, reads)
		}
	})
}

// TestReadsLooksEverywhere: primary, correlated and censoring criteria, the person, the
// visit of another event, and the drugs behind an end strategy.
func TestReadsLooksEverywhere(t *testing.T) {
	t.Parallel()
	d, err := cohort.Read([]byte(whole))
	require.NoError(t, err)
	require.Equal(t, []cohort.Domain{
		cohort.ConditionOccurrence, cohort.DrugExposure, cohort.Measurement, cohort.ObservationPeriod, cohort.Person, cohort.VisitOccurrence,
	}, d.Reads())

	d = using(cohort.Death)
	d.Rules = []cohort.Rule{{Group: cohort.Group{Type: cohort.AllOf, Groups: []cohort.Group{{Type: cohort.AllOf, Criteria: []cohort.Correlated{{
		Criterion: cohort.Criterion{Domain: cohort.Specimen}, SameVisit: true,
	}}}}}}}
	require.Equal(t, []cohort.Domain{cohort.Death, cohort.Specimen, cohort.VisitOccurrence}, d.Reads())
}
