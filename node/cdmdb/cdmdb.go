// Package cdmdb copies the tables of a site's OMOP CDM out of the site's own database, as the
// files that the site would otherwise export.
//
// [Read] takes one snapshot and gives a [Table] for each table that connectors/source/cdm
// reads and that has rows: CSV with gzip, in a file that only this process can read. The
// tables are then sent like files of a folder, so that raw copy, jobs, findings and lineage
// are those of a folder. DESIGN.md says why. The database is only read.
package cdmdb

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/spool"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Config says which database to read. Address is required.
type Config struct {
	Address string // as sqldb.OpenGuest takes it
	Schema  string // where the tables are; PostgreSQL's search path finds them if it is empty

	// Say, if it is set, is told what becomes of each table, in a sentence without a value
	// of a row.
	Say func(string)
}

// Table is the content of a table as a file. It is patient data.
type Table struct {
	Name   string // person.csv.gz
	Stage  int    // as cdm.Table.Stage
	Rows   int64
	Digest string // SHA-256 of the file in hexadecimal digits

	*spool.File

	table string // by its name in the CDM
}

// CDM returns the table's name in the CDM.
func (t Table) CDM() string { return t.table }

// names are the tables that are read, those first to which others refer.
var names = []string{
	"location", "care_site", "provider", "person", "observation_period", "payer_plan_period", "visit_occurrence", "death",
	"condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation",
	"device_exposure", "specimen", "visit_detail",
}

// Read copies the tables. They are the caller's to close; after an error there are none. The
// error names the table that it is about.
func Read(ctx context.Context, cfg Config) (tables []Table, err error) {
	if cfg.Say == nil {
		cfg.Say = func(string) {}
	}
	guest, err := sqldb.OpenGuest(ctx, cfg.Address, cfg.Schema)
	if err != nil {
		return nil, err
	}
	defer guest.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, Close(tables))
			tables = nil
		}
	}()
	err = guest.Read(ctx, func(v *sqldb.Visit) error {
		there, err := v.Tables(ctx)
		if err != nil {
			return err
		}
		plans, err := plan(there, cfg.Say)
		if errors.Is(err, errNoPerson) {
			err = cfg.noPerson()
		}
		if err != nil {
			return err
		}
		for _, p := range plans {
			t, err := p.copy(ctx, v)
			if err != nil {
				return err
			}
			cfg.Say(fmt.Sprintf("%s: %d rows", p.table.Name, t.Rows))
			if t.Rows == 0 {
				err = t.Close()
			} else {
				tables = append(tables, t)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(tables) == 0 {
		err = errors.New("the tables of the CDM have no rows")
	}
	return tables, err
}

// Close gives back what tables hold.
func Close(tables []Table) error {
	var failed []error
	for _, t := range tables {
		failed = append(failed, t.Close())
	}
	return errors.Join(failed...)
}

var errNoPerson = errors.New("no table person")

// noPerson says what to change if there is no table person.
func (cfg Config) noPerson() error {
	switch {
	case strings.HasPrefix(cfg.Address, "sqlite:"):
		return errors.New("the file has no table person: name the one with the CDM")
	case cfg.Schema != "":
		return fmt.Errorf("schema %s has no table person, or the user may not see it", cfg.Schema)
	}
	return errors.New("the search path's first schema has no table person, or the user may not see it: name the schema of the CDM")
}

// planned is a table that is to be copied.
type planned struct {
	table  *cdm.Table
	name   string // in the database
	fields []sqldb.Field
}

// plan finds the tables that are read, and their columns.
func plan(there []sqldb.Table, say func(string)) ([]planned, error) {
	var plans []planned
	for _, name := range names {
		p := planned{table: cdm.StoredTable(name)}
		for _, t := range there {
			if !strings.EqualFold(t.Name, name) {
				continue
			}
			if p.name != "" {
				return nil, fmt.Errorf("the tables %s and %s have one name but for capitals", p.name, t.Name)
			}
			p.name = t.Name
			p.choose(t.Columns, say)
		}
		switch {
		case p.name == "" && name == "person":
			return nil, errNoPerson
		case p.name == "":
			say(name + ": no such table")
		case len(p.fields) == 0:
			return nil, fmt.Errorf("table %s has no column of the CDM", p.name)
		default:
			plans = append(plans, p)
		}
	}
	return plans, nil
}

// choose takes the columns of the CDM, without what is withheld of who gives care. A column under its name of 5.3 counts if there is none
// under that of 5.4.
func (p *planned) choose(columns []string, say func(string)) {
	rest := columns
	for _, current := range []bool{true, false} {
		var left []string
		for _, name := range rest {
			c, ok := p.table.Column(name)
			if c.Withheld {
				continue
			}
			taken := slices.ContainsFunc(p.fields, func(f sqldb.Field) bool { return f.As == c.Name })
			if !ok || taken || current && !strings.EqualFold(name, c.Name) {
				left = append(left, name)
				continue
			}
			p.fields = append(p.fields, sqldb.Field{Name: name, As: c.Name, Time: c.Time()})
		}
		rest = left
	}
	if len(rest) > 0 {
		say(fmt.Sprintf("%s: left out %s, which the CDM does not have", p.table.Name, strings.Join(rest, ", ")))
	}
}

// copy copies the table to a file.
func (p *planned) copy(ctx context.Context, v *sqldb.Visit) (Table, error) {
	file, err := spool.Create()
	if err != nil {
		return Table{}, err
	}
	t := Table{Name: p.table.Name + ".csv.gz", Stage: p.table.Stage(), File: file, table: p.table.Name}
	sum := sha256.New()
	zipped, err := gzip.NewWriterLevel(io.MultiWriter(file, sum), gzip.BestSpeed)
	if err != nil {
		return Table{}, errors.Join(err, file.Close())
	}
	if t.Rows, err = v.CopyCSV(ctx, zipped, p.name, p.fields); err == nil {
		err = zipped.Close()
	}
	if err != nil {
		return Table{}, errors.Join(fmt.Errorf("table %s: %w", p.name, err), file.Close())
	}
	t.Digest = hex.EncodeToString(sum.Sum(nil))
	return t, nil
}
