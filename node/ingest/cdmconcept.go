package ingest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/localstore/vocab"
)

// maxConcepts bounds the concepts that an attempt remembers, some 40 MB.
const maxConcepts = 200_000

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
		maps.Copy(known, found)
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
	order := slices.SortedFunc(maps.Keys(faults), func(a, b fault) int {
		return cmp.Or(cmp.Compare(faults[a].line, faults[b].line), cmp.Compare(a.rule+a.column, b.rule+b.column))
	})
	for _, f := range order {
		l.find(f.rule, f.column, faults[f].line, faults[f].count)
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
