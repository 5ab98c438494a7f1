package cohort_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// clone returns a copy that shares nothing.
func clone(t require.TestingT, d cohort.Definition) cohort.Definition {
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	var c cohort.Definition
	require.NoError(t, json.Unmarshal(raw, &c))
	return c
}

func text(t require.TestingT, d cohort.Definition) string {
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	return string(raw)
}

// drawn returns one of the definitions of a moderate size, which is all the laws need.
func drawn(t testing.TB) *rapid.Generator[cohort.Definition] {
	t.Helper()
	names, all := allDefinitions(t)
	var moderate []cohort.Definition
	for _, name := range names {
		items := 0
		for _, set := range all[name].ConceptSets {
			items += len(set.Items)
		}
		if d := all[name]; items < 60 && len(d.Rules)+len(d.Censoring)+len(d.Primary.Criteria) > 1 {
			moderate = append(moderate, d)
		}
	}
	require.Greater(t, len(moderate), 150)
	return rapid.SampledFrom(moderate)
}

// TestNormalForgetsWhatMeansNothing: a researcher must not get two answers to one question
// by saying it in other words or another order.
func TestNormalForgetsWhatMeansNothing(t *testing.T) {
	t.Parallel()
	all := drawn(t)
	rapid.Check(t, func(t *rapid.T) {
		d := all.Draw(t, "definition")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) //nolint:gosec // an order, not a secret
		other := clone(t, d)
		reword(&other, r)
		require.Equal(t, text(t, d.Normal()), text(t, other.Normal()))
		require.Equal(t, text(t, d.Normal()), text(t, d.Normal().Normal()))
	})
}

// reword says the same in another way.
func reword(d *cohort.Definition, r *rand.Rand) {
	ids := map[int]int{}
	for i := range d.ConceptSets {
		set := &d.ConceptSets[i]
		ids[set.ID] = 1000 - 7*i
		set.ID, set.Name = ids[set.ID], fmt.Sprintf("set %d", r.IntN(100))
		for j := range set.Items {
			set.Items[j].Name = "renamed"
		}
		if len(set.Items) > 0 {
			set.Items = append(set.Items, set.Items[r.IntN(len(set.Items))])
		}
		shuffle(r, set.Items)
	}
	d.ConceptSets = append(d.ConceptSets, cohort.ConceptSet{ID: 2000, Items: []cohort.Item{{Concept: 5}}}) // nothing uses it
	shuffle(r, d.ConceptSets)
	each(reflect.ValueOf(d).Elem(), func(v reflect.Value) {
		switch part := v.Addr().Interface().(type) {
		case *cohort.Criterion:
			renumber(part.ConceptSet, ids)
		case *cohort.Filter:
			renumber(part.Source, ids)
			if part.Set != nil {
				renumber(part.Set.Set, ids)
			}
			part.Names = nil
			shuffle(r, part.Concepts)
		case *cohort.CustomEra:
			renumber(&part.ConceptSet, ids)
		case *cohort.Group:
			shuffle(r, part.Criteria)
			shuffle(r, part.Demographics)
			shuffle(r, part.Groups)
		case *cohort.Window:
			if part.UseIndexEnd == nil {
				part.UseIndexEnd = new(false)
			}
		case *cohort.Endpoint:
			if part.Days != nil && *part.Days != 0 {
				part.Coeff, *part.Days = -part.Coeff, -*part.Days
			}
		case *cohort.Rule:
			part.Name, part.Description = "", "reworded"
		}
	})
	shuffle(r, d.Primary.Criteria)
	shuffle(r, d.Censoring)
	d.Idle = nil
}

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func renumber(id *int, ids map[int]int) {
	if id != nil {
		*id = ids[*id]
	}
}

// each calls visit for every value inside v, the inner ones first.
func each(v reflect.Value, visit func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			each(v.Elem(), visit)
		}
		return
	case reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			each(v.Field(i), visit)
		}
	}
	visit(v)
}

// TestNormalKeepsWhatMatters changes one number, word, flag or list of a normal form: it
// must become another one.
func TestNormalKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	all := drawn(t)
	rapid.Check(t, func(t *rapid.T) {
		d := clone(t, all.Draw(t, "definition").Normal())
		before := text(t, d)
		changes := changes("", reflect.ValueOf(&d).Elem(), d)
		c := changes[rapid.IntRange(0, len(changes)-1).Draw(t, "change")]
		c.make()
		require.NotEqual(t, before, text(t, d.Normal()), c.path)
	})
}

type change struct {
	path string
	make func()
}

// changes lists every change to one leaf that gives another cohort.
func changes(path string, v reflect.Value, d cohort.Definition) []change {
	var list []change
	leaf := func(make func()) { list = append(list, change{path, make}) }
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			list = changes(path, v.Elem(), d)
		}
	case reflect.Slice:
		for i := range v.Len() {
			list = append(list, changes(fmt.Sprintf("%s[%d]", path, i), v.Index(i), d)...)
		}
		if v.Len() > 0 {
			leaf(func() { v.Set(v.Slice(0, v.Len()-1)) })
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if at := path + "." + v.Type().Field(i).Name; matters(at, v, d) {
				list = append(list, changes(at, v.Field(i), d)...)
			}
		}
	case reflect.Int, reflect.Int64:
		leaf(func() { v.SetInt(v.Int() + 1) })
	case reflect.Float64:
		leaf(func() { v.SetFloat(v.Float() + 1) })
	case reflect.Bool:
		leaf(func() { v.SetBool(!v.Bool()) })
	case reflect.String:
		leaf(func() { v.SetString(another(v.String())) })
	}
	return list
}

// matters reports whether the member of v at the path means anything.
func matters(path string, v reflect.Value, d cohort.Definition) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch part := v.Interface().(type) {
	case cohort.Definition:
		return name != "QualifiedLimit" && name != "Idle" &&
			(name != "ExpressionLimit" || d.Primary.Limit == cohort.All && d.QualifiedLimit == cohort.All) &&
			(name != "ConceptSets" || len(d.ConceptSets) > 0)
	case cohort.ConceptSet:
		return name == "Items" // ids follow from content
	case cohort.Item:
		return !slices.Contains([]string{"Name", "Standard", "Invalid"}, name)
	case cohort.Rule:
		return name == "Group"
	case cohort.Group:
		return name != "Count" && name != "Type" || part.Type == cohort.AtMost && name == "Count"
	case cohort.Endpoint:
		return name == "Days" // the sign of day 0, and of some open ends, means nothing
	case cohort.Correlated:
		return name != "IgnoreObservationPeriod" || part.Start.Start.Days != nil
	case cohort.Window:
		return strings.Contains("Start End", name)
	case cohort.Filter:
		return name != "Names"
	case cohort.Occurrence:
		return name != "CountColumn" && (name != "Type" || part.Count > 0) // exactly none is at most none
	}
	return true
}

// another returns another value of the same meaning's kind.
func another(s string) string {
	for _, pair := range [][2]string{{"All", "Last"}, {"gt", "gte"}, {"lt", "lte"}, {"bt", "!bt"}, {"eq", "!eq"}} {
		if i := slices.Index(pair[:], s); i >= 0 {
			return pair[1-i]
		}
	}
	return s + "1"
}

// TestNormalForms are pairs that are one cohort, and pairs that are not.
func TestNormalForms(t *testing.T) {
	t.Parallel()
	read := func(group string) cohort.Definition {
		d, err := cohort.Read([]byte(`{"ConceptSets": [{"id": 0, "expression": {"items": []}}, {"id": 1, "expression": {"items": [{"concept": {"CONCEPT_ID": 7}, "isExcluded": true}]}}],
			"PrimaryCriteria": {"CriteriaList": [{"Death": {}}]}, "InclusionRules": [{"expression": ` + group + `}]}`))
		require.NoError(t, err)
		return d.Normal()
	}
	one := func(window, rest string) string {
		return `{"Type": "ALL", "CriteriaList": [{"Criteria": {"Death": {}}, "StartWindow": ` + window + `, ` + rest + `}]}`
	}
	const always = `{"Start": {"Coeff": -1}, "End": {"Coeff": 1}}`
	const times = `"Occurrence": {"Type": 2, "Count": 1}`
	person := func(filter string) string { return `{"Type": "ALL", "DemographicCriteriaList": [` + filter + `]}` }
	about := func(group string) string { // the criterion's event, which may begin in two observation periods
		return strings.Replace(one(always, times), `"Death": {}`, `"Death": {"CorrelatedCriteria": `+group+`}`, 1)
	}
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"at least one is any":        {strings.Replace(person(`{}, {"Race": [{"CONCEPT_ID": 1}]}`), `"ALL"`, `"ANY"`, 1), strings.Replace(person(`{}, {"Race": [{"CONCEPT_ID": 1}]}`), `"ALL"`, `"AT_LEAST", "Count": 1`, 1), true},
		"any of one is all":          {person(`{}`), strings.Replace(person(`{}`), `"ALL"`, `"any"`, 1), true},
		"at least all is all":        {strings.Replace(person(`{}, {"Race": [{"CONCEPT_ID": 1}]}`), `"ALL"`, `"AT_LEAST", "Count": 2`, 1), person(`{}, {"Race": [{"CONCEPT_ID": 1}]}`), true},
		"all twice is once":          {person(`{}, {}`), person(`{}`), true},
		"at most counts twice":       {strings.Replace(person(`{}, {}`), `"ALL"`, `"AT_MOST", "Count": 1`, 1), strings.Replace(person(`{}`), `"ALL"`, `"AT_MOST", "Count": 1`, 1), false},
		"empty sets are one":         {person(`{"GenderCS": {"CodesetId": 0}}`), person(`{"GenderCS": {"CodesetId": 1}}`), true},
		"an undefined set is empty":  {person(`{"GenderCS": {"CodesetId": 0}}`), person(`{"GenderCS": {"CodesetId": 9}}`), true},
		"no set asks for a value":    {person(`{"GenderCS": {"CodesetId": 0}}`), person(`{"GenderCS": {}}`), false},
		"exactly none is at most":    {one(always, `"Occurrence": {"Type": 0, "Count": 0}`), one(always, `"Occurrence": {"Type": 1, "Count": 0}`), true},
		"distinct at least once":     {one(always, times), one(always, `"Occurrence": {"Type": 2, "Count": 1, "IsDistinct": true}`), false},
		"column without distinct":    {one(always, times), one(always, `"Occurrence": {"Type": 2, "Count": 1, "CountColumn": "START_DATE"}`), true},
		"day 0 either way":           {one(`{"Start": {"Days": 0, "Coeff": -1}, "End": {"Coeff": 1}}`, times), one(`{"Start": {"Days": 0, "Coeff": 1}, "End": {"Coeff": 1}}`, times), true},
		"open the other way":         {one(always, times), one(`{"Start": {"Coeff": 1}, "End": {"Coeff": 1}}`, times), false},
		"default of the start":       {one(always, times), one(`{"Start": {"Coeff": -1}, "End": {"Coeff": 1}, "UseEventEnd": false}`, times), true},
		"default of the end":         {one(always, times+`, "EndWindow": `+always), one(always, times+`, "EndWindow": {"Start": {"Coeff": -1}, "End": {"Coeff": 1}, "UseEventEnd": true}`), true},
		"end in the period":          {one(always, times+`, "EndWindow": `+always), one(always, times), false},
		"end at any time":            {one(always, times+`, "IgnoreObservationPeriod": true, "EndWindow": `+always), one(always, times+`, "IgnoreObservationPeriod": true`), true},
		"adjustment by nothing":      {one(always, times), strings.Replace(one(always, times), `"Death": {}`, `"Death": {"DateAdjustment": {}}`, 1), false}, // asks for an end
		"adjustment of the end":      {one(always, times), strings.Replace(one(always, times), `"Death": {}`, `"Death": {"DateAdjustment": {"EndOffset": 1}}`, 1), false},
		"any of one about an event":  {about(person(`{}`)), about(strings.Replace(person(`{}`), `"ALL"`, `"ANY"`, 1)), false},
		"at least all about one":     {about(person(`{}, {}`)), about(strings.Replace(person(`{}, {}`), `"ALL"`, `"AT_LEAST", "Count": 2`, 1)), false},
		"all twice about an event":   {about(person(`{}, {}`)), about(person(`{}`)), false},
		"any twice about an event":   {about(strings.Replace(person(`{}, {}`), `"ALL"`, `"ANY"`, 1)), about(strings.Replace(person(`{}`), `"ALL"`, `"AT_LEAST", "Count": 1`, 1)), true},
		"empty group about an event": {one(always, times), strings.Replace(one(always, times), `"Death": {}`, `"Death": {"CorrelatedCriteria": {"Type": "ANY"}}`, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.same, text(t, read(c.a)) == text(t, read(c.b)), "%s\n%s", text(t, read(c.a)), text(t, read(c.b)))
		})
	}
}

// TestNormalKeepsTheOrderOfRules: attrition is counted along it.
func TestNormalKeepsTheOrderOfRules(t *testing.T) {
	t.Parallel()
	rule := func(sex int64) cohort.Rule {
		return cohort.Rule{Group: cohort.Group{Type: cohort.AllOf, Demographics: []cohort.Demographic{{Filters: []cohort.Filter{{Field: "Gender", Concepts: []int64{sex}}}}}}}
	}
	d := using(cohort.Death)
	d.Rules = []cohort.Rule{rule(2), rule(1)}
	require.Equal(t, d.Rules, d.Normal().Rules)
}
