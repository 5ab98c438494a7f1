package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"flag"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// results are one of each type, with the numbers of R where package analysis has them.
func results(t *testing.T) map[string]any {
	t.Helper()
	regressions, hazards, survivals := cases(t)
	var histograms []query.FrequencyTable
	read(t, "../analysis/testdata/describe/histogram.json", &histograms)
	var rates []query.Rates
	read(t, "../analysis/testdata/describe/rates.json", &rates)
	var crossTabs []query.ContingencyTable
	read(t, "../analysis/testdata/describe/crosstab.json", &crossTabs)
	var descriptions []query.Description
	read(t, "../analysis/testdata/describe/describe.json", &descriptions)
	var tables []query.Characterization
	read(t, "../analysis/testdata/describe/characterize.json", &tables)
	var sets []struct {
		Name string
		query.Conditional
	}
	read(t, "../analysis/testdata/conditional/cases.json", &sets)
	conditional := map[string]query.Conditional{}
	for _, s := range sets {
		conditional[s.Name] = s.Conditional
	}
	var shots []query.OneShot
	read(t, "../analysis/testdata/oneshot/cases.json", &shots)
	var shotHazards []query.OneShotHazards
	read(t, "../analysis/testdata/odac/cases.json", &shotHazards)
	table := tables[0]
	for i, n := range []int64{9233, 146} { // the file has sizes only
		table.Arms = append(table.Arms, query.ArmSize{Level: []string{"no diabetes", "diabetes"}[i], N: n})
	}
	table.Variables = append(table.Variables, query.Variate{Name: "smoker", Levels: []string{"no", "yes"}, Withheld: true})
	cells := []query.Cell{
		{Levels: []string{"female", "0-17"}, N: 135},
		{Levels: []string{"female", "18-39"}, Withheld: true, SitesWithheld: 2},
		{Levels: []string{"male", "0-17"}, N: 0},
	}
	counted := Answer{
		Request: query.Request{Purpose: "How many were seen?", Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex, query.ByAgeGroup}}},
		Result: query.Result{
			Query: message.Sum([]byte("question")), Trial: "bp-2026", State: query.Complete, Answered: []query.Answered{{Node: "did:key:a"}, {Node: "did:key:b"}},
			Missing: []query.Missing{{Node: "did:key:c", Step: query.StepMask}}, Policy: disclosure.Policy{MinCell: 11},
			Cells: cells, Total: &query.Cell{N: 135}, WithheldCells: 1, MaxRoundingError: 7.5,
		},
		Notes: []Note{{"ledger", "asked in entry 10, answered in entry 11"}},
	}
	means := counted
	means.Request.Analysis = query.Analysis{Kind: query.Moments, By: []query.Stratifier{query.BySex}, Variable: &query.Variable{}}
	means.Result.Cells = []query.Cell{{Levels: []string{"female"}, N: 120, Mean: new(128.4567), SD: new(12.3)}, {Levels: []string{"male"}, Withheld: true}}
	means.Result.Total = &query.Cell{N: 120, Mean: new(128.4567), SD: new(12.3)}
	nothing := counted
	nothing.Result.Cells, nothing.Result.Total, nothing.Result.State, nothing.Result.Reason = nil, nil, query.Withheld, "fewer than 3 nodes"
	nothing.Result.WithheldCells, nothing.Result.MaxRoundingError = 0, 0
	model := counted
	model.Request.Analysis, model.Result.Cells, model.Result.Total = query.Analysis{Kind: query.GLM}, nil, nil
	regression := regressions["birthwt"]
	model.Result.Regression, model.Result.WithheldCells, model.Result.MaxRoundingError = &regression, 0, 0
	var comparisons []query.Comparison
	read(t, "../analysis/testdata/comparison/cases.json", &comparisons)
	compared := comparisons[0] // the file has hazards and arms only
	compared.Adjustment, compared.Estimand, compared.N, compared.Score = query.Weighting, query.ATE, 1546, regressions["birthwt"]
	compared.Treated, compared.Untreated = query.PropensityArm{N: 212, Used: 212, Effective: 150.5}, query.PropensityArm{N: 1334, Used: 1334, Effective: 1300.25}
	compared.Balance = []query.Balance{{Name: "age", Before: new(0.71), After: new(-0.124)}, {Name: "meno"}}
	refused := nothing
	refused.Result.Missing = nil
	for _, node := range []identity.DID{"did:key:z6MkhaXgBZDvotDkL5257fai", "did:key:z6MkhaXgBZDvotDkL5257bad"} {
		refusal := query.Refused{Node: node, Problem: problem.From(problem.Refusal("query.unit", "the site's vocabulary does not have the variable's unit").With("column pressure"))}
		refused.Result.Refused = append(refused.Result.Refused, refusal)
	}
	refused.Sites = Sites{"did:key:z6MkhaXgBZDvotDkL5257fai": "North Hospital"}
	refused.Fixes = map[string]string{"query.unit": "use a UCUM unit that the hospitals' vocabularies have"}
	falls := counted
	falls.Request.Analysis = query.Analysis{
		Kind: query.Incidence, Specs: query.Specs{Incidence: &query.IncidenceSpec{Events: "falls", Time: "years"}}, Columns: []query.Column{{Name: "years", From: query.FromDataset, Unit: "a"}},
	}
	falls.Result.Cells, falls.Result.Total, falls.Result.Rates, falls.Result.WithheldCells, falls.Result.MaxRoundingError = nil, nil, &rates[0], 0, 0
	merged := survivals["aml"]
	merged.Arms = slices.Clone(merged.Arms)
	merged.Arms[0].Merged = len(merged.Arms[0].Curve) - 3
	merged.Arms[0].Curve = merged.Arms[0].Curve[:3]
	return map[string]any{
		"survival-merged": merged,
		"comparison":      compared, "answer-refused": refused, "answer-rates": falls,
		"answer-count": counted, "answer-means": means, "answer-nothing": nothing, "answer-model": model,
		"regression": regressions["cnsim logistic with interaction"], "hazards": hazards["colon"], "survival": survivals["aml"],
		"conditional": conditional["infert"], "case-series": conditional["purpura"], "one-shot": shots[3], "one-shot-hazards": shotHazards[0], "one-shot-hazards-sites": shotHazards[2], "crosstab": crossTabs[0], "crosstab-layers": crossTabs[1], "description": descriptions[1], "histogram": histograms[0], "rates": rates[0],
		"characterization": table,
		"quantiles": query.QuantileTable{N: 40, LeftOut: query.Omitting(2), Columns: []query.ColumnQuantiles{{
			Name: "age", All: []query.Quantile{{P: 0.25, Value: new(41.5)}, {P: 0.5, Low: new(50.0), High: new(55.0)}},
			Groups: []query.GroupQuantiles{{Level: "female", N: 40, Quantiles: []query.Quantile{{P: 0.25, Value: new(40.25)}, {P: 0.5}}}},
		}}},
		"meta": query.MetaAnalysis{
			Sites: 13, Estimate: -0.7145, SE: 0.1798, Lower: -1.0669, Upper: -0.3622, Statistic: -3.9744, P: 7.06e-5,
			Heterogeneity: &query.Heterogeneity{Tau2: 0.3132, I2: 92.22, Q: 152.233, P: 1e-26},
		},
		"answer-attrition": Answer{
			Request: query.Request{Purpose: "How many does each rule leave?", Analysis: query.Analysis{Kind: query.Count, Attrition: true}},
			Result: query.Result{
				Query: message.Sum([]byte("question")), Trial: "bp-2026", State: query.Complete, Answered: []query.Answered{{Node: "did:key:a"}, {Node: "did:key:b"}},
				Policy: disclosure.Policy{MinCell: 11}, WithheldCells: 1, MaxRoundingError: 10, Cells: []query.Cell{
					{Levels: []string{"0. primary criteria"}, N: 900},
					{Levels: []string{"1. adults"}, N: 600},
					{Levels: []string{"2. first of its kind"}, N: 350, SitesWithheld: 1},
					{Levels: []string{"3. no cancer"}, Withheld: true, SitesWithheld: 3},
				},
			},
		},
		"attrition": Attrition{Steps: []AttritionStep{{Name: "Entered the cohort", N: 12840}, {Name: "No cancer in the year before", N: 11020}, {Name: "Not pregnant", Withheld: true}, {Name: "Age 18 or more", N: 10000}}},
	}
}

// TestReports compares with files, which were read, and drawn figures were looked at.
func TestReports(t *testing.T) {
	t.Parallel()
	for name, result := range results(t) {
		for format, ending := range map[Format]string{Table: "txt", CSV: "csv", HTML: "html", SVG: "svg"} {
			var b bytes.Buffer
			if err := Render(&b, result, format); err != nil {
				require.ErrorContains(t, err, "draw", name)
				continue
			}
			path := filepath.Join("testdata", "golden", name+"."+ending)
			if *update {
				require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
				continue
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), b.String(), path)
		}
	}
}

// TestTimesAreInTheUnitOfTheirColumn of a data set that counts months.
func TestTimesAreInTheUnitOfTheirColumn(t *testing.T) {
	t.Parallel()
	columns := []query.Column{{Name: "months", From: query.FromDataset, Unit: "mo"}, {Name: "died", From: query.FromDataset}, {Name: "drug", From: query.FromDataset}}
	list := results(t)
	survival, compared := list["survival"].(query.Survival), list["comparison"].(query.Comparison)
	r := query.Rate{N: 100, Events: 6, Time: new(1200.0), Estimate: new(0.005), Exact: &query.Limits{Lower: 0.002, Upper: 0.01}}
	noised := r
	noised.NoiseSD, noised.Noised = new(0.001), &query.Limits{Lower: 0.001, Upper: 0.012}
	compared.Crude.Untreated.Rate = r
	ask := func(a query.Analysis, out query.Outcome) Answer {
		a.Columns = columns
		return Answer{Request: query.Request{Analysis: a}, Result: query.Result{State: query.Complete, Outcome: out}}
	}
	curves := ask(query.Analysis{Kind: query.KaplanMeier, Specs: query.Specs{KaplanMeier: &query.KaplanMeierSpec{Formula: "Surv(months, died) ~ drug"}}}, query.Outcome{Survival: &survival})
	drugs := ask(query.Analysis{Kind: query.Compare, Specs: query.Specs{Comparison: &query.ComparisonSpec{Outcome: "Surv(months, died) ~ drug"}}}, query.Outcome{Comparison: &compared})
	rate := ask(query.Analysis{Kind: query.Incidence, Specs: query.Specs{Incidence: &query.IncidenceSpec{Time: "months"}}}, query.Outcome{Rates: &query.Rates{All: noised}})
	for _, c := range []struct {
		answer Answer
		format Format
		want   []string
	}{
		{curves, Table, []string{"times are in months"}},
		{curves, CSV, []string{"time unit,,,,,mo"}},
		{curves, SVG, []string{"Time (months)"}},
		{drugs, Table, []string{"Rates are per 1,000 person-years", "times are in months", "1200    60        24       120"}},
		{drugs, CSV, []string{"time unit,,,,,mo"}},
		{drugs, SVG, []string{"Time (months)"}},
		{rate, Table, []string{"60        12       144", "in the estimate of all is 12."}},
		{rate, SVG, []string{"60.00 (12.00 to 144.00)"}},
	} {
		var b bytes.Buffer
		require.NoError(t, Render(&b, c.answer, c.format))
		for _, want := range c.want {
			require.Contains(t, b.String(), want, c.format)
		}
	}
}

// TestAnswersSayTheUnitsOfTheirNumbers, which the result does not know.
func TestAnswersSayTheUnitsOfTheirNumbers(t *testing.T) {
	t.Parallel()
	histogram := results(t)["histogram"].(query.FrequencyTable)
	columns := []query.Column{
		{Name: "age", From: query.FromAge},
		{Name: histogram.Name, From: query.FromMeasurement, Unit: "mg/dL"},
		{Name: "ill", From: query.FromEvent},
		{Name: "days", From: query.FromFollowUp},
	}
	for _, c := range []struct {
		asked  query.Analysis
		result query.Result
		want   map[Format]string
	}{
		{query.Analysis{Kind: query.Histogram, Columns: columns}, query.Result{Outcome: query.Outcome{Histogram: &histogram}}, map[Format]string{
			Table: "units     age in years, " + histogram.Name + " in mg/dL\n", CSV: "units,,,,,\"age in years, ", SVG: histogram.Name + " (mg/dL)",
		}},
		{query.Analysis{Kind: query.Moments, Variable: &query.Variable{Unit: "mm[Hg]"}}, query.Result{Cells: []query.Cell{{N: 20, Mean: new(1.0)}}}, map[Format]string{
			Table: "units     mean and sd in mm[Hg]\n", CSV: "units,,,,,mean and sd in mm[Hg]",
		}},
	} {
		c.result.State = query.Complete
		answer := Answer{Request: query.Request{Analysis: c.asked}, Result: c.result}
		for format, want := range c.want {
			var b bytes.Buffer
			require.NoError(t, Render(&b, answer, format))
			require.Contains(t, b.String(), want, format)
		}
		answer.Result = query.Result{State: query.Withheld}
		var b bytes.Buffer
		require.NoError(t, Render(&b, answer, Table))
		require.NotContains(t, b.String(), "units", "there are no numbers")
	}
}

// TestMetaAnalysesSayWhatTheyPool, and how.
func TestMetaAnalysesSayWhatTheyPool(t *testing.T) {
	t.Parallel()
	result := results(t)["meta"].(query.MetaAnalysis)
	for want, asked := range map[string]query.Analysis{
		"k = 13; random effects; tau^2 by REML)\n\nPooled: mean of bmi, arm drug less control\n": {
			Specs: query.Specs{Meta: &query.MetaSpec{Value: "bmi", By: "arm", Between: "REML"}}, Columns: []query.Column{{Name: "arm", Levels: []string{"control", "drug"}}},
		},
		"k = 13; fixed effect)\n\nPooled: coefficient age of ill ~ age\n": {
			Specs: query.Specs{Meta: &query.MetaSpec{Model: &query.GLMSpec{Formula: "ill ~ age"}, Term: "age"}},
		},
	} {
		asked.Kind = query.Meta
		answer := Answer{Request: query.Request{Analysis: asked}, Result: query.Result{State: query.Complete, Outcome: query.Outcome{MetaAnalysis: &result}}}
		var text, figure bytes.Buffer
		require.NoError(t, Render(&text, answer, Table))
		require.Contains(t, text.String(), want)
		require.NoError(t, Render(&figure, answer, SVG))
		require.Regexp(t, "(Difference of means|Coefficient) \\(95 % CI\\)", figure.String())
	}
}

// TestCurvesLeaveOutArmsOfNobody, such as a sex that the data do not have.
func TestCurvesLeaveOutArmsOfNobody(t *testing.T) {
	t.Parallel()
	survival := results(t)["survival"].(query.Survival)
	survival.Arms = append(survival.Arms[:len(survival.Arms):len(survival.Arms)], query.SurvivalArm{Name: "other or unknown"})
	var figure, text bytes.Buffer
	require.NoError(t, Render(&figure, survival, SVG))
	require.NotContains(t, figure.String(), "other or unknown")
	require.NoError(t, Render(&text, survival, Table))
	require.Contains(t, text.String(), "\nother or unknown  0 ", "the table says that there is nobody")
}

func TestEveryOutcomeHasItsOwnView(t *testing.T) {
	t.Parallel()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[query.Outcome]()) {
		v, err := viewOf(reflect.Zero(f.Type.Elem()).Interface())
		require.NoError(t, err)
		require.NotEmpty(t, v.blocks(reflect.Zero(f.Type.Elem()).Interface()), "an empty one is shown, too: %s", f.Name)
		require.NotPanics(t, func() { v.rows(reflect.Zero(f.Type.Elem()).Interface()) })
	}
}

func TestWhatCannotBeDrawnSaysWhatItCanBe(t *testing.T) {
	t.Parallel()
	list := results(t)
	for name, want := range map[string]string{
		"answer-count":   "a count cannot be drawn; ask for table, json, csv, parquet, html",
		"answer-nothing": "an answer of which nothing was released cannot be drawn",
		"crosstab":       "a cross-tabulation cannot be drawn",
	} {
		require.Regexp(t, "^"+want, Render(io.Discard, list[name], PNG).Error(), "no word about where it comes from")
	}
	require.ErrorContains(t, Render(io.Discard, query.Survival{}, SVG), "there is nothing in a survival estimate to draw")
	require.ErrorContains(t, Render(io.Discard, query.Survival{}, "pdf"), "known are table, json")
	require.ErrorContains(t, Render(io.Discard, nil, CSV), "is no result")
}

func TestPicturesHaveTheSizeOfTheirFigures(t *testing.T) {
	t.Parallel()
	list := results(t)
	for _, name := range []string{"survival", "hazards", "histogram", "rates", "meta", "attrition"} {
		var b bytes.Buffer
		require.NoError(t, Render(&b, list[name], PNG))
		c, err := png.DecodeConfig(&b)
		require.NoError(t, err)
		require.Greater(t, c.Width, 1000, name)
		require.Less(t, c.Width, 3000, name)
	}
}

// TestParquetHasTheRowsOfCSV reads both back.
func TestParquetHasTheRowsOfCSV(t *testing.T) {
	t.Parallel()
	for name, result := range results(t) {
		var c, p bytes.Buffer
		require.NoError(t, Render(&c, result, CSV))
		require.NoError(t, Render(&p, result, Parquet))
		lines, err := csv.NewReader(&c).ReadAll()
		require.NoError(t, err)
		r, err := file.NewParquetReader(bytes.NewReader(p.Bytes()))
		require.NoError(t, err)
		require.Equal(t, int64(len(lines)-1), r.NumRows(), name)
		for i, head := range lines[0] {
			require.Equal(t, head, r.MetaData().Schema.Column(i).Name())
			for row, text := range parquetColumn(t, r, i) {
				require.Equal(t, lines[row+1][i], text, "%s: %s of row %d", name, head, row)
			}
		}
	}
}

// parquetColumn returns a column's cells as CSV has them.
func parquetColumn(t *testing.T, r *file.Reader, i int) []string {
	t.Helper()
	column, err := r.RowGroup(0).Column(i)
	require.NoError(t, err)
	n := r.NumRows()
	out := make([]string, n)
	levels := make([]int16, n)
	switch c := column.(type) {
	case *file.Float64ColumnChunkReader:
		values := make([]float64, n)
		_, _, err := c.ReadBatch(n, values, levels, nil)
		require.NoError(t, err)
		for row, level := range levels {
			if level == 1 {
				out[row], values = digits(&values[0]), values[1:]
			}
		}
	case *file.ByteArrayColumnChunkReader:
		values := make([]parquet.ByteArray, n)
		_, _, err := c.ReadBatch(n, values, nil, nil)
		require.NoError(t, err)
		for row, v := range values {
			out[row] = harmless(string(v))
		}
	default:
		t.Fatalf("a column of %T", column)
	}
	return out
}

// TestNoTextGetsOut puts any text where a site or a researcher could, and reads every format
// back.
func TestNoTextGetsOut(t *testing.T) {
	t.Parallel()
	hostile := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("<>&\"'`=+-@,;\n\r\t\x00\x1b[31m]\u202e/script onload"))),
		rapid.SampledFrom([]string{"<script>alert(1)</script>", "=HYPERLINK(\"x\")", "]]>", "\x1b[2J", "-->", "\"; DROP", "\xff\xfe", "@SUM(A1)"}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := hostile.Draw(t, "a"), hostile.Draw(t, "b")
		for _, result := range []any{
			query.Regression{Formula: a, Link: query.LinkLogit, N: 9, Coefficients: []query.Coefficient{{Name: b, Estimate: new(1.0), SE: new(2.0), Statistic: new(0.5), P: new(0.6)}}, Warnings: []string{a}},
			query.Survival{Formula: a, Arms: []query.SurvivalArm{{Name: b, N: 2, Curve: []query.SurvivalPoint{{Time: 1, AtRisk: 2, Events: 1, Survival: 0.5}}}}},
			query.Characterization{Arm: a, N: 3, Arms: []query.ArmSize{{Level: a}, {Level: b}}, Variables: []query.Variate{{Name: b, Levels: []string{a}, All: &query.VariateGroup{Counts: []int64{3}}}}},
			Attrition{Steps: []AttritionStep{{Name: a, N: 3}, {Name: b, N: 2}}},
			Answer{Request: query.Request{Purpose: a}, Result: query.Result{Reason: b, Refused: []query.Refused{{Node: identity.DID(a)}}}},
		} {
			checkText(t, result)
			checkCSV(t, result)
			checkMarkup(t, result)
		}
	})
}

func checkText(t require.TestingT, result any) {
	var b bytes.Buffer
	require.NoError(t, Render(&b, result, Table))
	for _, r := range b.String() {
		require.True(t, r == '\n' || r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0) && r != '\u202e', "%q steers a terminal", r)
	}
}

func checkCSV(t require.TestingT, result any) {
	var b bytes.Buffer
	require.NoError(t, Render(&b, result, CSV))
	lines, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	for _, cells := range lines {
		require.Len(t, cells, len(columns))
		for i, cell := range cells {
			if numbers[columns[i]] == nil {
				require.NotContains(t, "=+-@\t\r\n", (cell + " ")[:1], "a spreadsheet would run it")
			}
		}
	}
}

// checkMarkup reads a page and a figure: there are only elements that the report has itself.
func checkMarkup(t require.TestingT, result any) {
	var page bytes.Buffer
	require.NoError(t, Render(&page, result, HTML))
	elements := html.NewTokenizer(bytes.NewReader(page.Bytes()))
	for elements.Next() != html.ErrorToken {
		token := elements.Token()
		if token.Type != html.TextToken { // a text may be just "a"
			require.NotContains(t, []string{"script", "img", "iframe", "a", "link", "object"}, token.Data)
		}
		for _, attribute := range token.Attr {
			require.NotContains(t, []string{"src", "href", "onload", "onerror"}, attribute.Key)
		}
	}
	var drawn bytes.Buffer
	if Render(&drawn, result, SVG) != nil {
		return
	}
	known := map[string]bool{"svg": true, "title": true, "rect": true, "text": true, "polyline": true, "polygon": true}
	dec := xml.NewDecoder(&drawn)
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		if e, is := token.(xml.StartElement); is {
			require.True(t, known[e.Name.Local], e.Name.Local)
		}
	}
}

// TestUnknownResultsComeAsTheirFigures: of a method that is newer than its report nothing
// is dropped.
func TestUnknownResultsComeAsTheirFigures(t *testing.T) {
	t.Parallel()
	type axis struct {
		Name    string
		Loading *float64
		Shares  []float64
	}
	type inner struct{ TotalVariance float64 }
	result := struct {
		N     int64
		Axes  []axis
		Inner *inner
		Text  string
	}{7, []axis{{"first", new(0.5), []float64{1, 2}}, {"second", nil, nil}}, &inner{3}, "so"}
	var b bytes.Buffer
	require.NoError(t, Render(&b, result, CSV))
	require.Equal(t, `section,name,group,at,figure,value,low,high,state,text
result,,,,n,7,,,,
axes,first,,,name,,,,,first
axes,first,,,loading,0.5,,,,
axes,first,,1,shares,1,,,,
axes,first,,2,shares,2,,,,
axes,second,,,name,,,,,second
axes,second,,,loading,,,,absent,
inner,,,,total variance,3,,,,
result,,,,text,,,,,so
`, b.String())
	b.Reset()
	require.NoError(t, Render(&b, result, Table))
	require.Contains(t, b.String(), "total variance")
	var back map[string]any
	b.Reset()
	require.NoError(t, Render(&b, result, JSON))
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.True(t, strings.HasSuffix(b.String(), "\n"))
}
