package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Answer is a question with its public answer.
type Answer struct {
	Request query.Request `json:"request"`
	Result  query.Result  `json:"result"`

	// Notes are what else is known of it, for example where it stands on the ledger.
	Notes []Note `json:"notes,omitempty"`

	// Sites say whose nodes they are.
	Sites Sites `json:"sites,omitempty"`

	// Fixes say what to change by the rule that refused.
	Fixes map[string]string `json:"-"`
}

// Sites are the organizations of nodes, as the hub's registry has them.
type Sites map[identity.DID]string

// Name returns the organization of a node with the end of its key, which tells it from
// another node of the same one. A node that is not known has its key alone.
func (s Sites) Name(node identity.DID) string {
	if name := s[node]; name != "" {
		return name + " (" + node.Short() + ")"
	}
	return node.Short()
}

// Note is a fact about an answer, which may share its name with others.
type Note struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// view is that of the outcome, with the answer's own parts before it.
func (a Answer) view() view {
	var inner view
	value := a.outcome()
	if value != nil {
		inner, _ = viewOf(value) // a structure has one
	}
	v := view{
		name:   cmp.Or(inner.name, "a "+string(a.Request.Analysis.Kind)),
		blocks: func(any) []block { return answerBlocks(a, inner) },
		rows:   func(any) rows { return answerRows(a, inner) },
	}
	if inner.figure != nil {
		v.figure = func(any) drawing { return inner.figure(value) }
	}
	if value == nil && len(a.Result.Cells) == 0 {
		v.name = "an answer of which nothing was released"
	}
	return v
}

// outcome is what was released in place of a table of levels, nil for none.
func (a Answer) outcome() any {
	if !a.Request.Analysis.Attrition || len(a.Result.Cells) == 0 {
		return a.measured(a.Result.Outcome.Value())
	}
	var out Attrition
	for _, c := range a.Result.Cells {
		out.Steps = append(out.Steps, AttritionStep{Name: strings.Join(c.Levels, ", "), N: c.N, SitesWithheld: c.SitesWithheld, Withheld: c.Withheld})
	}
	return out
}

// measured adds to an outcome what only the question says of it: the unit of what its figure
// has on an axis, and what a meta-analysis pools.
func (a Answer) measured(outcome any) any {
	switch v := outcome.(type) {
	case query.FrequencyTable:
		return measuredFrequencies{v, a.Request.Analysis.UnitOf(v.Name)}
	case query.Rates:
		if spec := a.Request.Analysis.Incidence; spec != nil {
			return timedRates{v, query.TimeUnit(a.Request.Analysis.UnitOf(spec.Time))}
		}
	case query.MetaAnalysis:
		if spec := a.Request.Analysis.Meta; spec != nil {
			return a.statedBy(*spec, v)
		}
	case query.Survival:
		return timedSurvival{v, a.Request.Analysis.WatchedUnit()}
	case query.Comparison:
		return timedComparison{v, a.Request.Analysis.WatchedUnit()}
	}
	return outcome
}

// units say in which unit the numbers are, empty if there are none with a unit.
func (a Answer) units() string {
	if len(a.Result.Cells) == 0 && a.Result.Outcome.Value() == nil {
		return ""
	}
	if v := a.Request.Analysis.Variable; v != nil && v.Unit != "" {
		return "mean and sd in " + v.Unit
	}
	var list []string
	for _, c := range a.Request.Analysis.Columns {
		if unit := query.TimeUnit(a.Request.Analysis.UnitOf(c.Name)).Name(); unit != "" && unit != c.Name {
			list = append(list, c.Name+" in "+unit)
		}
	}
	return strings.Join(list, ", ")
}

func answerBlocks(a Answer, inner view) []block {
	blocks := []block{a.facts()}
	if len(a.Result.Cells) > 0 && !a.Request.Analysis.Attrition {
		blocks = append(blocks, a.cells())
	}
	if notes := a.notes(); len(notes) > 0 {
		blocks = append(blocks, notes)
	}
	if inner.blocks != nil {
		blocks = append(blocks, inner.blocks(a.outcome())...)
	}
	return blocks
}

// facts say who answered.
func (a Answer) facts() facts {
	r := a.Result
	f := facts{{"question", r.Query.String()}, {"trial", string(r.Trial)}, {"state", string(r.State)}}
	for _, n := range a.Notes {
		f.add(n.Name, n.Text)
	}
	if r.Reason != "" {
		f.add("reason", r.Reason)
	}
	if r.Cancelled != nil {
		f.add("cancelled", "by "+string(r.Cancelled.Issuer))
	}
	if r.Repeats != nil {
		f.add("repeats", "the answer to "+r.Repeats.String())
	}
	for _, n := range r.Refused {
		f.add("refused", fmt.Sprintf("%s  %s", a.Sites.Name(n.Node), n.Problem.Err()))
	}
	for _, n := range r.Missing {
		f.add("missing", fmt.Sprintf("%s  at step %s", a.Sites.Name(n.Node), n.Step))
	}
	for _, rule := range refusedBy(r) {
		if fix := a.Fixes[rule]; fix != "" {
			f.add("fix", rule+": "+fix)
		}
	}
	if r.State != query.Open {
		f.add("nodes", fmt.Sprintf("%d answered", len(r.Answered)))
	}
	if r.Rounds > 0 {
		f.add("rounds", fmt.Sprint(r.Rounds))
	}
	if units := a.units(); units != "" {
		f.add("units", units)
	}
	for _, n := range r.Answered {
		if n.Leave != nil {
			f.add("approval", a.Sites.Name(n.Node)+"  "+leaveText(*n.Leave))
		}
	}
	return f
}

// refusedBy are the rules by which nodes refused, each once.
func refusedBy(r query.Result) []string {
	var rules []string
	for _, n := range r.Refused {
		if !slices.Contains(rules, n.Problem.Rule) {
			rules = append(rules, n.Problem.Rule)
		}
	}
	return rules
}

// leaveText says who let a question pass at a node.
func leaveText(l query.Leave) string {
	text := fmt.Sprintf("policy %.12s", l.Policy)
	for i, verdict := range l.Verdicts {
		text += fmt.Sprintf(", verdict %.12s", verdict)
		if i < len(l.Approvers) {
			text += " by " + l.Approvers[i].Short()
		}
	}
	if len(l.Verdicts) == 0 {
		text += ", automatic"
	}
	return text
}

// notes say how exact the cells are, and what is not there.
func (a Answer) notes() facts {
	r := a.Result
	var f facts
	if r.MaxNoiseSD > 0 {
		f.add("noise", fmt.Sprintf("%s of scale %d; standard deviation of a count at most %.3g", r.Policy.Noise, r.Policy.NoiseScale, r.MaxNoiseSD))
	}
	if r.MaxRoundingError > 0 {
		of := "the exact ones"
		if r.MaxNoiseSD > 0 {
			of = "those with noise"
		}
		f.add("rounding", fmt.Sprintf("counts are within %g of %s", r.MaxRoundingError, of))
	}
	if r.WithheldCells > 0 {
		cells := "1 cell"
		if r.WithheldCells > 1 {
			cells = fmt.Sprintf("%d cells", r.WithheldCells)
		}
		f.add("withheld", fmt.Sprintf("%s: fewer than %d persons at a site, or a number from which such a one could be told", cells, r.Policy.MinCell))
	}
	return f
}

// cells are a count, or means, by the levels of the strata.
func (a Answer) cells() *table {
	by := a.Request.Analysis.By
	t := &table{words: max(1, len(by))}
	for _, s := range by {
		t.head = append(t.head, string(s))
	}
	if len(by) == 0 {
		t.head = []string{""}
	}
	list := a.Result.Cells
	if total := a.Result.Total; total != nil && len(list) != 1 {
		list = append(list[:len(list):len(list)], *total)
	}
	var means, sds, meanNoise, sdNoise []*float64
	partly, noised := false, false
	for _, c := range list {
		means, sds = append(means, c.Mean), append(sds, c.SD)
		meanNoise, sdNoise = append(meanNoise, c.MeanNoiseSD), append(sdNoise, c.SDNoiseSD)
		partly, noised = partly || c.SitesWithheld > 0, noised || c.MeanNoiseSD != nil
	}
	moments := a.Request.Analysis.Kind == query.Moments
	t.head = append(t.head, "n")
	if moments {
		t.head = append(t.head, "mean", "sd")
	}
	if noised {
		t.head = append(t.head, "noise of mean", "noise of sd")
	}
	if partly {
		t.head = append(t.head, "sites withheld")
	}
	mean, sd := align(5, means...), align(5, sds...)
	ofMean, ofSD := align(3, meanNoise...), align(3, sdNoise...)
	for i, c := range list {
		levels := make([]string, t.words)
		copy(levels, c.Levels)
		if i == len(a.Result.Cells) {
			levels[0] = "all released cells"
		} else if len(by) == 0 {
			levels[0] = "all"
		}
		cells := append(levels, countOr(c.N, c.Withheld))
		switch {
		case moments && c.Withheld:
			cells = append(cells, withheld, withheld)
		case moments:
			cells = append(cells, mean[i], sd[i])
		}
		switch {
		case noised && c.Withheld:
			cells = append(cells, withheld, withheld)
		case noised:
			cells = append(cells, ofMean[i], ofSD[i])
		}
		if partly {
			cells = append(cells, fmt.Sprint(c.SitesWithheld))
		}
		t.add(cells...)
	}
	return t
}

func answerRows(a Answer, inner view) rows {
	r := a.Result
	var out rows
	question := Row{Section: "question"}
	out.text(question, "id", r.Query.String())
	out.text(question, "trial", string(r.Trial))
	out.text(question, "purpose", a.Request.Purpose)
	out.text(question, "state", string(r.State))
	out.text(question, "reason", r.Reason)
	out.text(question, "units", a.units())
	for _, n := range a.Notes {
		out.text(question, n.Name, n.Text)
	}
	node := func(did identity.DID, state string) Row {
		at := Row{Section: "node", Name: string(did)}
		out.text(at, "organization", a.Sites[did])
		out.text(at, "state", state)
		return at
	}
	for _, n := range r.Answered {
		node(n.Node, "answered")
	}
	for _, n := range r.Refused {
		at := node(n.Node, "refused")
		out.text(at, "rule", n.Problem.Rule)
		out.text(at, "reason", n.Problem.Title)
		out.text(at, "detail", n.Problem.Detail)
		out.text(at, "fix", a.Fixes[n.Problem.Rule])
	}
	for _, n := range r.Missing {
		node(n.Node, "missing")
	}
	names := make([]string, len(a.Request.Analysis.By))
	for i, s := range a.Request.Analysis.By {
		names[i] = string(s)
	}
	for _, c := range r.Cells {
		if a.Request.Analysis.Attrition {
			break // the outcome has them
		}
		out.cell(Row{Section: "cell", Name: strings.Join(names, ", "), Group: strings.Join(c.Levels, ", ")}, c, a.Request.Analysis.Kind)
	}
	if r.Total != nil && len(r.Cells) != 1 {
		out.cell(Row{Section: "total"}, *r.Total, a.Request.Analysis.Kind)
	}
	if len(r.Cells) > 0 {
		out.count(question, "withheld cells", int64(r.WithheldCells))
		out.float(question, "max rounding error", r.MaxRoundingError)
	}
	if len(r.Cells) > 0 || r.MaxNoiseSD > 0 {
		out.float(question, "max noise sd", r.MaxNoiseSD)
	}
	if inner.rows != nil {
		out = append(out, inner.rows(a.outcome())...)
	}
	return out
}

func (r *rows) cell(at Row, c query.Cell, kind query.AnalysisKind) {
	if c.Withheld {
		r.withheld(at, "n")
	} else {
		r.count(at, "n", c.N)
	}
	r.count(at, "sites withheld", int64(c.SitesWithheld))
	if kind != query.Moments {
		return
	}
	if c.Withheld {
		r.withheld(at, "mean")
		r.withheld(at, "sd")
		return
	}
	r.number(at, "mean", c.Mean)
	r.number(at, "sd", c.SD)
	r.noise(at, "mean noise sd", c.MeanNoiseSD)
	r.noise(at, "sd noise sd", c.SDNoiseSD)
}
