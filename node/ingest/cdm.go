package ingest

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/quality"
)

// Findings about rows of a site's CDM. None keeps a row out: the concepts are the
// site's. Each is counted as "rule column" and listed once, where it first came.
const (
	findingUnknownConcept = "unknown-concept"      // the node's vocabulary does not have it
	findingNonStandard    = "non-standard-concept" // where the CDM wants a standard one
	findingWrongDomain    = "wrong-domain"         // the concept belongs to another table or column
	findingUnknownVisit   = "unknown-visit"        // the visit is not stored; the row has none
	findingNotKept        = "not-kept"             // the store has no place for the column's values
)

// keptAnyway is the detail of a problem that lists a finding.
const keptAnyway = "the row is kept; findings count such rows"

// Bounds of what an attempt remembers.
const (
	maxConcepts = 200_000   // some 40 MB
	maxLives    = 1_000_000 // some 60 MB
)

// imported is what an attempt has found out about the tables of a CDM. Its maps are
// nil until a row of one comes.
type imported struct {
	uses     map[use]sighting        // of concepts in the batch that is not yet committed
	concepts map[int64]vocab.Concept // ID 0 for those that are not known
	births   map[omop.Key]omop.Date  // 0001-01-01 for persons who are not known
}

// use is a concept in a column; sighting is how often and where first.
type (
	use struct {
		column string
		id     int64
	}
	sighting struct {
		count int64
		line  int
		cdm.Column
	}
)

// find counts a finding about a row that is kept, and lists it if it is the first.
func (l *load) find(rule, column string, line int, n int64) {
	key := rule + " " + column
	if l.counts.Findings[key] == 0 && l.listed+len(l.problems) < l.s.cfg.MaxProblems {
		l.problems = append(l.problems, Problem{Line: line, Path: column, Rule: rule, Detail: keptAnyway})
	}
	l.counts.Findings[key] += n
}

// take takes one row of a CDM.
func (l *load) take(rec fhir.Record, row *cdm.Row) {
	if l.imported.uses == nil {
		l.imported = imported{uses: map[use]sighting{}, concepts: map[int64]vocab.Concept{}, births: map[omop.Key]omop.Date{}}
	}
	l.lines[mapping.Pointer(rec)] = rec.Line
	for _, d := range row.Defects {
		l.find(string(d.Rule), d.Column, rec.Line, 1)
	}
	about := conceptOf(row.Table.Name)
	if about != "" && row.Int(about) == 0 {
		l.counts.Unmapped[row.Table.Name+" code"]++
	}
	row.Each(func(c cdm.Column) {
		id, concept := int64(0), strings.HasSuffix(c.Name, "_concept_id")
		switch {
		case notKept[c.Name] && (row.Int(c.Name) != 0 || row.Text(c.Name) != ""):
			l.find(findingNotKept, c.Name, rec.Line, 1)
		case concept:
			id = row.Int(c.Name)
		}
		if id != 0 {
			u := use{c.Name, id}
			s, seen := l.imported.uses[u]
			if !seen {
				s.line, s.Column = rec.Line, c
			}
			s.count++
			l.imported.uses[u] = s
		}
	})
	appendRow(&l.batch, row, mapping.Pointer(rec))
}

// notKept are the columns that the store has and does not fill: what they refer to
// is in tables that it does not have.
var notKept = map[string]bool{
	"location_id": true, "provider_id": true, "care_site_id": true, "visit_detail_id": true,
	"preceding_visit_occurrence_id": true, "measurement_time": true, "measurement_event_id": true,
	"meas_event_field_concept_id": true, "observation_event_id": true, "obs_event_field_concept_id": true,
}

// judge compares the batch that is about to be stored with the vocabulary and with
// the persons in the store.
func (l *load) judge(ctx context.Context) error {
	if l.imported.uses == nil {
		return nil
	}
	if err := l.judgeConcepts(ctx); err != nil {
		return err
	}
	return l.learn(ctx)
}

// judgeConcepts says what is wrong with the concepts of the batch.
func (l *load) judgeConcepts(ctx context.Context) error {
	known := l.imported.concepts
	if len(known) > maxConcepts {
		clear(known)
	}
	var ask []int64
	for u := range l.imported.uses {
		if _, ok := known[u.id]; !ok {
			known[u.id] = vocab.Concept{}
			ask = append(ask, u.id)
		}
	}
	if len(ask) > 0 {
		found, err := l.s.cfg.Vocabulary.Concepts(ctx, ask)
		if err != nil {
			return err
		}
		for id, c := range found {
			known[id] = c
		}
	}
	type fault struct{ rule, column string }
	faults := map[fault]sighting{}
	for u, s := range l.imported.uses {
		if rule := misused(s.Column, known[u.id]); rule != "" {
			f := faults[fault{rule, u.column}]
			if f.count == 0 || s.line < f.line {
				f.line = s.line
			}
			f.count += s.count
			faults[fault{rule, u.column}] = f
		}
	}
	for f, s := range faults {
		l.find(f.rule, f.column, s.line, s.count)
	}
	clear(l.imported.uses)
	return nil
}

// misused says what is wrong with c in a column, "" for nothing.
func misused(column cdm.Column, c vocab.Concept) string {
	_, standard := column.Concept()
	switch {
	case c.ID == 0:
		return findingUnknownConcept
	case !standard:
		return ""
	case !c.Standard:
		return findingNonStandard
	case column.Name == "observation_concept_id" && elsewhere[c.Domain],
		column.Domain != "" && !slices.Contains(strings.Split(column.Domain, ", "), c.Domain):
		return findingWrongDomain
	}
	return ""
}

// elsewhere are the domains whose concepts have a table of their own: the CDM takes
// any other into observation.
var elsewhere = map[string]bool{"Condition": true, "Drug": true, "Procedure": true, "Measurement": true, "Device": true, "Visit": true}

// learn tells the quality checks about the lives of the persons of the batch, who
// came in another file, and checks what these do not: periods and deaths.
func (l *load) learn(ctx context.Context) error {
	births := l.imported.births
	fresh := map[omop.Key]bool{}
	for _, r := range l.batch.Persons {
		births[r.Key] = sqldb.Day(max(r.YearOfBirth, 1), 1, 1)
	}
	for key := range personsOf(&l.batch) {
		if _, ok := births[key]; !ok && len(births) < maxLives {
			births[key], fresh[key] = unborn, true
		}
	}
	if len(fresh) > 0 {
		if err := l.recallLives(ctx, fresh); err != nil {
			return err
		}
	}
	for _, p := range l.batch.Stated {
		if p.Start < births[p.Person] {
			l.find(string(quality.BeforeBirth), "observation_period_start_date", l.line(p.Pointer), 1)
		}
		if p.End < p.Start {
			l.find(string(quality.EndBeforeStart), "observation_period_end_date", l.line(p.Pointer), 1)
		}
	}
	for _, d := range l.batch.Deaths {
		if d.Date < births[d.Person] {
			l.find(string(quality.BeforeBirth), "death_date", l.line(d.Pointer), 1)
		}
	}
	return nil
}

// unborn is before every date of the store.
const unborn = omop.Date(-1 << 31)

func (l *load) recallLives(ctx context.Context, persons map[omop.Key]bool) error {
	keys := make([]omop.Key, 0, len(persons))
	for k := range persons {
		keys = append(keys, k)
	}
	var lives omop.Batch
	err := l.s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		found, err := l.s.cfg.Store.PersonsByKey(ctx, tx, keys)
		for k, d := range found {
			l.imported.births[k] = d.Birth()
			lives.Persons = append(lives.Persons, omop.Person{Key: k, YearOfBirth: d.YearOfBirth, MonthOfBirth: d.MonthOfBirth, DayOfBirth: d.DayOfBirth})
			if d.Death != nil {
				lives.Deaths = append(lives.Deaths, omop.Death{Person: k, Date: *d.Death})
			}
		}
		return err
	})
	l.checker.Learn(&lives)
	return err
}

// cdmKey is the key of a row of a site's CDM: the site's own number of it.
func cdmKey(table string, id int64) omop.Key {
	return omop.NewKey("omop|" + table + "/" + strconv.FormatInt(id, 10))
}
