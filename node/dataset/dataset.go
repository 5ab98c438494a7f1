// Package dataset loads files into a site's named data sets.
//
// Start from [Service.Load]: it reads a CSV or Parquet file by a schema, finds the persons
// whom the node knows, and replaces the set in one transaction. What is wrong with a file
// is a [Problem], which names line, column and rule and never a value. DESIGN.md says what
// a data set is and why; localstore/dataset keeps it.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/parquet"
	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// ErrBusy refuses a load while another one is under way at this process: each may hold
// [MaxValues] in memory.
var ErrBusy = problem.New(problem.Conflict, "another data set is being loaded: try again when it is done")

// Config configures a [Service]. All fields are required.
type Config struct {
	DB     *sqldb.DB
	Store  *dataset.Store
	People *omop.Store
	Trail  *audit.Trail
	Now    func() time.Time
}

// Service loads and drops a site's data sets. It is safe for concurrent use.
type Service struct {
	cfg     Config
	loading sync.Mutex
}

// New returns a Service; it starts nothing.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// Loaded says what became of a file.
type Loaded struct {
	Name string `json:"name"`
	Rows int    `json:"rows" doc:"Stored, one a person"`

	// Skipped counts the rows that were left out by the rule of their first fault, and
	// Problems are the first of them.
	Skipped  map[Rule]int `json:"skipped" doc:"Rows left out, by rule"`
	Problems []Problem    `json:"problems" nullable:"false" doc:"The first of them, without values"`
}

// Load replaces the set that the schema names by the rows of a file, CSV or Parquet, plain,
// for persons whom the node knows. A file with a fault changes nothing and is a [Faults],
// unless skip is set: then rows with a fault are left out and counted.
func (s *Service) Load(ctx context.Context, schema dataset.Schema, file io.Reader, skip bool) (Loaded, error) {
	if !s.loading.TryLock() {
		return Loaded{}, ErrBusy
	}
	defer s.loading.Unlock()
	if err := schema.Validate(); err != nil {
		return Loaded{}, problem.New(problem.Invalid, "schema: "+err.Error())
	}
	text, err := parquet.Text(ctx, io.NopCloser(file), fhir.Options{MaxTotal: MaxBytes})
	if err != nil {
		return Loaded{}, unreadable(err)
	}
	defer text.Close()
	t, err := read(schema, text)
	if err != nil {
		return Loaded{}, err
	}
	return s.store(ctx, schema, t, skip)
}

// store finds the persons of a table and replaces the set.
func (s *Service) store(ctx context.Context, schema dataset.Schema, t *table, skip bool) (Loaded, error) {
	out := Loaded{Name: schema.Name}
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := s.cfg.Store.Hold(ctx, tx); err != nil {
			return err
		}
		faults := t.faults.clone() // a transaction may be tried again
		rows, err := s.persons(ctx, tx, t, &faults)
		if err != nil {
			return err
		}
		if faults.sort(); faults.rows() > 0 && !skip {
			return faults
		}
		out.Rows, out.Skipped, out.Problems = len(rows), faults.Count, faults.First
		now := s.cfg.Now()
		if err := s.cfg.Store.Replace(ctx, tx, schema, now, slices.Values(rows)); err != nil {
			return err
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.DatasetLoaded, Subject: schema.Name})
	})
	if err != nil {
		return Loaded{}, fmt.Errorf("load data set: %w", err)
	}
	return out, nil
}

// lookups is how many persons are looked up at once.
const lookups = 1000

// persons returns the rows of those whom the node knows, in the order of the persons.
func (s *Service) persons(ctx context.Context, tx *sqldb.Tx, t *table, faults *Faults) ([]dataset.Row, error) {
	type placed struct {
		dataset.Row
		line int
	}
	list := make([]placed, 0, len(t.keys))
	for from := 0; from < len(t.keys); from += lookups {
		keys := t.keys[from:min(from+lookups, len(t.keys))]
		known, err := s.cfg.People.PersonsByKey(ctx, tx, keys)
		if err != nil {
			return nil, err
		}
		for i, key := range keys {
			row := from + i
			person, found := known[key]
			if !found {
				faults.add(t.lines[row], t.person, UnknownPerson)
				continue
			}
			list = append(list, placed{dataset.Row{Person: person.ID, Values: t.row(row)}, t.lines[row]})
		}
	}
	slices.SortStableFunc(list, func(a, b placed) int {
		switch {
		case a.Person.Less(b.Person):
			return -1
		case b.Person.Less(a.Person):
			return 1
		}
		return 0
	})
	rows := make([]dataset.Row, 0, len(list))
	for i, p := range list {
		if i > 0 && list[i-1].Person == p.Person {
			faults.add(p.line, t.person, SecondRow)
			continue
		}
		rows = append(rows, p.Row)
	}
	return rows, nil
}

// List returns all sets by name.
func (s *Service) List(ctx context.Context) (list []dataset.Set, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		list, err = s.cfg.Store.List(ctx, tx)
		return err
	})
	return list, err
}

// Set returns the set of a name, or [dataset.ErrUnknown].
func (s *Service) Set(ctx context.Context, name string) (set dataset.Set, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		set, err = s.cfg.Store.Set(ctx, tx, name)
		return err
	})
	return set, err
}

// Drop removes a set, or returns [dataset.ErrUnknown].
func (s *Service) Drop(ctx context.Context, name string) error {
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := s.cfg.Store.Drop(ctx, tx, name); err != nil {
			return err
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: s.cfg.Now(), Event: audit.DatasetDropped, Subject: name})
	})
}

// unreadable is the error of a file that is no table. A damaged Parquet file says which
// rule it breaks and nothing of its content.
func unreadable(err error) error {
	if p := new(fhir.Problem); errors.As(err, &p) {
		return problem.New(problem.Invalid, "the file is no table that can be read: "+string(p.Rule))
	}
	return err
}
