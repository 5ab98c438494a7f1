package ingest

import (
	"context"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// Findings about rows of a site's CDM. None keeps a row out: the concepts are the
// site's. Each is counted as "rule column" and listed once, where it first came.
const (
	findingUnknownConcept = "unknown-concept"      // the node's vocabulary does not have it
	findingNonStandard    = "non-standard-concept" // where the CDM wants a standard one
	findingWrongDomain    = "wrong-domain"         // the concept belongs to another table or column
	findingUnknownVisit   = "unknown-visit"        // the visit is not stored; the row has none
	findingUnknownRow     = "unknown-row"          // likewise a provider, a care site or a location
	findingNotKept        = "not-kept"             // the store has no place for the column's values
)

// keptAnyway is the detail of a problem that lists a finding.
const keptAnyway = "keeps no row out; the first of those that findings count"

// imported is what an attempt has found out about the tables of a CDM. Its maps are
// nil until a row of one comes.
type imported struct {
	uses     map[use]sighting        // of concepts in the batch that is not yet committed
	concepts map[int64]vocab.Concept // ID 0 for those that are not known
	births   map[omop.Key]omop.Date  // unborn for persons who are not stored
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
	if about, event := abouts[row.Table.Name]; event && row.Int(about) == 0 {
		l.counts.Unmapped[row.Table.Name+" code"]++
	}
	row.Each(func(c cdm.Column) {
		concept, _ := c.Concept()
		switch {
		case row.Int(c.Name) == 0 && row.Text(c.Name) == "": // 0 is no concept, and nobody's number
		case !keeps(row.Table, c):
			l.find(findingNotKept, c.Name, rec.Line, 1)
		case concept:
			l.imported.note(c, row.Int(c.Name), rec.Line)
		}
	})
	appendRow(&l.batch, row, mapping.Pointer(rec))
}

// note counts the use of a concept.
func (i *imported) note(c cdm.Column, id int64, line int) {
	u := use{c.Name, id}
	s, seen := i.uses[u]
	if !seen {
		s.line, s.Column = line, c
	}
	s.count++
	i.uses[u] = s
}

// keeps reports whether the store has a place for what a column says.
func keeps(t *cdm.Table, c cdm.Column) bool {
	switch {
	case c.Name == t.Columns[0].Name: // a row's own number is its key
		return true
	case t.Name == "person" && usual[c.Name]:
		return false
	}
	return !c.Withheld && !notKept[c.Name]
}

// usual are where a person lives, and who and what unit usually cares for them: no question
// asks about it.
var usual = map[string]bool{"location_id": true, "provider_id": true, "care_site_id": true}

// notKept are the columns that the store has and does not fill: what they refer to
// is in tables that it does not have.
var notKept = map[string]bool{
	"visit_detail_id": true, "preceding_visit_occurrence_id": true, "preceding_visit_detail_id": true, "parent_visit_detail_id": true,
	"measurement_time": true, "measurement_event_id": true,
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
