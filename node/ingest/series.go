package ingest

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// RuleInvalidUnit is the rule of a series whose unit UCUM does not have. A value
// without its unit is worth nothing, so it is not stored.
const RuleInvalidUnit = "invalid-unit"

// findingMissing counts the moments that a source lists without a value, such as those
// in which nobody wore the device.
const findingMissing = "missing-value"

// columns are the series of a batch that is not yet committed, and what the attempt
// has found out about their persons and variables.
type columns struct {
	list   []column
	points int

	persons   map[string]omop.PersonID
	variables map[series.Variable]series.VariableID
	sources   map[string]series.SourceID
}

// column is a series with its place in the file.
type column struct {
	path     string
	variable series.Variable
	*observation.Series
}

func (c *columns) clear() { c.list, c.points = c.list[:0], 0 }

// observe takes one series of the file.
func (l *load) observe(ctx context.Context, rec fhir.Record, s *observation.Series) error {
	if _, err := ucum.Parse(s.Unit); err != nil {
		l.reject(Problem{Line: rec.Line, Path: rec.Path + ".unit", Rule: RuleInvalidUnit, Detail: "want a UCUM code"})
		return nil
	}
	concept, err := l.words.Concept(ctx, s.System, s.Code)
	if err != nil {
		return err
	}
	if concept == 0 {
		l.counts.Unmapped["series code"]++
	}
	if s.Missing > 0 {
		l.counts.Findings[findingMissing] += int64(s.Missing)
	}
	l.columns.list = append(l.columns.list, column{rec.Path, series.Variable{ConceptID: concept, System: s.System, Code: s.Code, Unit: s.Unit}, s})
	l.columns.points += len(s.Times)
	return nil
}

// land appends the points of the batch as part of tx. They count as stored; which of
// them were known is found out when the store merges them.
func (l *load) land(ctx context.Context, tx *sqldb.Tx) error {
	var batch *landing
	for _, c := range l.columns.list {
		person, err := l.person(ctx, tx, c.Person)
		if errors.Is(err, sqldb.ErrNoRows) {
			l.reject(Problem{Path: c.path + ".person", Rule: string(omop.UnknownPerson)})
			continue
		}
		if err != nil {
			return err
		}
		variable, err := l.variable(ctx, tx, c.variable)
		if err != nil {
			return err
		}
		source, err := l.source(ctx, tx, c.Source)
		if err != nil {
			return err
		}
		for from := 0; from < len(c.Times); {
			if batch != nil && (batch.Source != source || len(batch.Times) == series.MaxBatch) {
				if err := l.append(ctx, tx, batch); err != nil {
					return err
				}
				batch = nil
			}
			if batch == nil {
				batch = l.newLanding(source, c.path)
			}
			to := min(len(c.Times), from+series.MaxBatch-len(batch.Times))
			batch.add(c, from, to, person, variable)
			from = to
		}
	}
	if batch == nil {
		return nil
	}
	return l.append(ctx, tx, batch)
}

// landing is a batch of the series store whose points know where they came from.
type landing struct {
	series.Batch
	parts []part
}

// part is where points of a column begin in a batch.
type part struct {
	path        string
	first, from int // in the batch, and in the column
}

func (l *load) newLanding(source series.SourceID, path string) *landing {
	return &landing{Batch: series.Batch{
		Origin: series.Origin{Raw: l.batch.Raw, Mapper: l.mapper, Pointer: path}, Source: source, At: l.batch.At,
	}}
}

func (b *landing) add(c column, from, to int, person omop.PersonID, variable series.VariableID) {
	b.parts = append(b.parts, part{c.path, len(b.Times), from})
	b.Persons, b.Variables = append(b.Persons, person), append(b.Variables, variable)
	at := int32(len(b.Persons) - 1) //nolint:gosec // a batch has 100,000 points
	for range to - from {
		b.Person, b.Variable = append(b.Person, at), append(b.Variable, at)
	}
	b.Times, b.Values = append(b.Times, c.Times[from:to]...), append(b.Values, c.Values[from:to]...)
}

// place says which value of which observation a point of the batch is.
func (b *landing) place(point int) string {
	i := sort.Search(len(b.parts), func(i int) bool { return b.parts[i].first > point }) - 1
	return b.parts[i].path + ".values[" + strconv.Itoa(point-b.parts[i].first+b.parts[i].from) + "]"
}

func (l *load) append(ctx context.Context, tx *sqldb.Tx, b *landing) error {
	result, err := l.s.cfg.Series.Append(ctx, tx, b.Batch)
	if err != nil {
		return err
	}
	l.counts.Stored += int64(result.Landed)
	for _, r := range result.Refused {
		l.reject(Problem{Path: b.place(r.Index), Rule: string(r.Rule)})
	}
	return nil
}

// person finds the person whose Patient resource has an id.
func (l *load) person(ctx context.Context, tx *sqldb.Tx, id string) (omop.PersonID, error) {
	return known(&l.columns.persons, id, func() (omop.PersonID, error) { return l.s.cfg.Store.PersonByKey(ctx, tx, mapping.PersonKey(id)) })
}

func (l *load) variable(ctx context.Context, tx *sqldb.Tx, v series.Variable) (series.VariableID, error) {
	return known(&l.columns.variables, v, func() (series.VariableID, error) { return l.s.cfg.Series.Define(ctx, tx, v) })
}

func (l *load) source(ctx context.Context, tx *sqldb.Tx, name string) (series.SourceID, error) {
	return known(&l.columns.sources, name, func() (series.SourceID, error) { return l.s.cfg.Series.Source(ctx, tx, name) })
}

// known remembers for one attempt what find returns: an attempt ends with the first
// transaction that fails.
func known[K comparable, V any](memory *map[K]V, key K, find func() (V, error)) (V, error) {
	v, ok := (*memory)[key]
	if ok {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, fmt.Errorf("series: %w", err)
	}
	if *memory == nil {
		*memory = make(map[K]V)
	}
	(*memory)[key] = v
	return v, nil
}
