package report

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

// tables are those that are checked, in the order of the report.
var tables = []omop.Table{
	omop.PersonTable, omop.PeriodTable, omop.VisitTable, omop.ConditionTable, omop.DrugTable, omop.ProcedureTable,
	omop.MeasurementTable, omop.ObservationTable, omop.DeathTable,
}

// maxVariables bounds the distributions that a report holds, some 3 kB each.
const maxVariables = 1000

// counting is the state of one count of everything.
type counting struct {
	*Service
	settings Settings
	tx       *sqldb.Tx
	today    omop.Date
	bounds   *variable.List // as of today
	report   Report
	fences   []omop.Fence
}

// count makes the report of one snapshot, and the fences that rows are to be marked by.
func (s *Service) count(ctx context.Context, settings Settings, now time.Time) (Report, []omop.Fence, error) {
	c := &counting{Service: s, settings: settings, today: sqldb.DateOf(now.UTC())}
	c.report = Report{Notice: Notice, Context: "verification", Started: now.UTC(), Rows: []TableRows{}, Variables: []Distribution{}}
	var err error
	if c.report.Vocabulary, err = s.cfg.Vocabulary.Version(ctx); err != nil {
		return Report{}, nil, err
	}
	c.bounds = variable.Shipped()
	if s.cfg.Variables != nil {
		if c.bounds, err = s.cfg.Variables.List(ctx, 0); err != nil {
			return Report{}, nil, err
		}
	}
	err = s.cfg.Store.Survey(ctx, func(tx *sqldb.Tx) error {
		c.tx = tx
		for _, part := range []func(context.Context) error{c.rows, c.defects, c.repeats, c.genders, c.bodyMass, c.series, c.variables} {
			if err := part(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = c.name(ctx)
	}
	slices.SortStableFunc(c.report.Variables, func(a, b Distribution) int { return cmp.Compare(b.Rows, a.Rows) })
	if over := len(c.report.Variables) - maxVariables; over > 0 {
		c.report.Variables, c.report.Unshown = c.report.Variables[:maxVariables], over
	}
	c.report.summarize()
	return c.report, c.fences, err
}

// add adds the check of a rule.
func (c *counting) add(r rule, table, name, field string, of, found int64) {
	c.report.Checks = append(c.report.Checks, c.settings.change(r.check(table, name, field, of, found), name).finish())
}

func (c *counting) rows(ctx context.Context) error {
	counts, err := c.cfg.Store.Counts(ctx, c.tx)
	for _, t := range tables {
		c.report.Rows = append(c.report.Rows, TableRows{t.String(), counts[t]})
	}
	return err
}

func (c *counting) defects(ctx context.Context) error {
	for _, t := range tables {
		found, err := c.cfg.Store.Defects(ctx, c.tx, t, c.today)
		if err != nil {
			return err
		}
		for _, f := range found {
			c.add(rules[f.Defect], t.String(), string(f.Defect), f.Field, f.Of, f.Found)
		}
	}
	return nil
}

func (c *counting) repeats(ctx context.Context) error {
	for _, t := range tables {
		if !omop.IsEvent(t) {
			continue
		}
		n, err := c.cfg.Store.Repeats(ctx, c.tx, t)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(c.report.Rows, func(r TableRows) bool { return r.Table == t.String() })
		c.add(others[ruleRepeat], t.String(), ruleRepeat, "", c.report.Rows[at].Rows, n)
	}
	return nil
}

func (c *counting) genders(ctx context.Context) error {
	lists := genders()
	for _, t := range []omop.Table{omop.ConditionTable, omop.ProcedureTable} {
		var rows, other int64
		for _, gender := range []int64{omop.Male, omop.Female} {
			of, found, err := c.cfg.Store.OfGender(ctx, c.tx, t, lists[gendered{t, gender}], gender)
			if err != nil {
				return err
			}
			rows, other = rows+of, other+found
		}
		c.add(others[ruleGender], t.String(), ruleGender, "person_id", rows, other)
	}
	return nil
}

func (c *counting) bodyMass(ctx context.Context) error {
	compared, differ, err := c.cfg.Store.BodyMass(ctx, c.tx, BodyMassTolerance)
	c.add(others[ruleBodyMass], omop.MeasurementTable.String(), ruleBodyMass, "value_as_number", compared, differ)
	return err
}

// series checks the variables of dense time series; their points are checked as they
// are loaded.
func (c *counting) series(ctx context.Context) error {
	known, err := c.cfg.Series.Variables(ctx, c.tx)
	if err != nil {
		return err
	}
	summaries, err := c.cfg.Series.Summaries(ctx, c.tx)
	if err != nil {
		return err
	}
	var unmapped, future int64
	end := (c.today + 2).Time().UnixMilli() // as for rows: tomorrow may be today elsewhere
	for _, s := range summaries {
		if known[s.Variable].ConceptID == 0 {
			unmapped++
		}
		if s.Last >= end {
			future++
		}
	}
	of := int64(len(summaries))
	c.add(others[ruleNoConcept], "series", ruleNoConcept, "", of, unmapped)
	c.add(others[ruleInFuture], "series", ruleInFuture, "", of, future)
	return nil
}
