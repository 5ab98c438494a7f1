package extract

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// Version is the version of specifications that this package reads.
const Version = 1

// Example is a specification with all settings explained.
//
//go:embed example.yaml
var Example string

// Spec says what an extract holds. It comes from [Parse].
type Spec struct {
	Digest    [sha256.Size]byte // of its text
	Study     string            // 1 to 40 lower-case letters, digits, - and _
	AsOf      *omop.Date
	Tables    []Table
	Quasi     []string // of quasiNames, in the order of the search
	Bands     []int64  // widths in years, each a multiple of the one before
	Sensitive []Sensitive
	Goal      anonymity.Goal
	Rare      int // persons, 0 for no limit
	Dates     Dates
}

// Table is a table of events with the columns that are written.
type Table struct {
	Table   omop.Table
	Columns []string // in the order of the CDM
}

// Sensitive is an attribute of persons: the first of the concepts that they have in the
// table, 0 for none.
type Sensitive struct {
	Name     string
	Table    omop.Table
	Concepts []int64
}

// Method says how dates are hidden.
type Method string

// The methods.
const (
	Shift Method = "shift"
	Year  Method = "year"
)

// Dates says how dates are hidden.
type Dates struct {
	Method   Method `yaml:"method"`
	Days     int    `yaml:"days"` // most that is shifted, 1 to 3650
	Weekdays bool   `yaml:"weekdays"`
}

// document is a specification as it is written.
type document struct {
	Version   int         `yaml:"version"`
	Study     string      `yaml:"study"`
	AsOf      string      `yaml:"as-of"`
	Tables    []tableDoc  `yaml:"tables"`
	Quasi     []string    `yaml:"quasi-identifiers"`
	Bands     []int64     `yaml:"birth-year-bands"`
	K         *int        `yaml:"k"`
	Limit     *float64    `yaml:"suppression-limit"`
	Sensitive []sensitive `yaml:"sensitive"`
	L         *int        `yaml:"l"`
	EntropyL  float64     `yaml:"entropy-l"`
	Rare      *int        `yaml:"rare-concepts"`
	Dates     Dates       `yaml:"dates"`
}

type tableDoc struct {
	Table   string   `yaml:"table"`
	Columns []string `yaml:"columns"`
}

type sensitive struct {
	Name     string  `yaml:"name"`
	Table    string  `yaml:"table"`
	Concepts []int64 `yaml:"concepts"`
}

// Defaults of a specification. k is the cell size of the site's other releases.
const (
	defaultK     = 11
	defaultLimit = 0.05
	defaultDays  = 183
)

// maxSpec is how many bytes a specification may have.
const maxSpec = 1 << 20

var studyNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// Parse reads a specification. The error lists all that is wrong with it.
func Parse(text []byte) (Spec, error) {
	if len(text) > maxSpec {
		return Spec{}, errors.New("specification: over 1 MiB")
	}
	var d document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		for _, kind := range []string{"document", "tableDoc", "sensitive", "Dates"} { // the library tells what it decodes into
			err = errors.New(strings.ReplaceAll(err.Error(), " not found in type extract."+kind, " is no setting"))
		}
		return Spec{}, fmt.Errorf("specification: %w", err)
	}
	if decoder.Decode(new(yaml.Node)) != io.EOF { //nolint:errorlint // yaml returns it as it is
		return Spec{}, errors.New("specification: more than one YAML document")
	}
	s, faults := d.spec()
	s.Digest = sha256.Sum256(text)
	if err := errors.Join(faults...); err != nil {
		return Spec{}, fmt.Errorf("specification: %w", err)
	}
	return s, nil
}

func (d document) spec() (s Spec, faults []error) {
	refuse := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	refuse(d.Version != Version, "version: want %d", Version)
	refuse(!studyNames.MatchString(d.Study), "study: want 1 to 40 lower-case letters, digits, - and _, beginning with a letter or a digit")
	s = Spec{Study: d.Study, Quasi: d.Quasi, Bands: d.Bands, Dates: d.Dates, Rare: valueOr(d.Rare, defaultK)}
	if d.AsOf != "" {
		day, err := sqldb.ParseDate(d.AsOf)
		refuse(err != nil, "as-of: want a day such as 2026-11-01")
		s.AsOf = &day
	}
	var err error
	s.Tables, err = tablesOf(d.Tables)
	refuse(err != nil, "tables: %w", err)
	if s.Quasi == nil {
		s.Quasi = slices.Clone(quasiNames)
	}
	for i, name := range s.Quasi {
		refuse(!slices.Contains(quasiNames, name) || slices.Contains(s.Quasi[:i], name), "quasi-identifiers: want some of %s, each once", strings.Join(quasiNames, ", "))
	}
	if s.Bands == nil {
		s.Bands = []int64{5, 10, 20}
	}
	refuse(len(s.Bands) == 0, "birth-year-bands: want one width or more")
	before := int64(1)
	for i, width := range s.Bands {
		if width < 1 || width > 100 || i > 0 && width == before || width%before != 0 {
			refuse(true, "birth-year-bands: want widths of 1 to 100 years, each a multiple of the one before")
			break
		}
		before = width
	}
	s.Sensitive, err = sensitiveOf(d.Sensitive)
	refuse(err != nil, "sensitive: %w", err)
	s.Goal = anonymity.Goal{K: valueOr(d.K, defaultK), EntropyL: d.EntropyL, Limit: valueOr(d.Limit, defaultLimit)}
	if len(s.Sensitive) > 0 {
		s.Goal.L = valueOr(d.L, 2)
	}
	refuse(len(s.Sensitive) == 0 && (d.L != nil || d.EntropyL != 0), "l, entropy-l: name what is sensitive")
	for _, t := range s.Tables {
		refuse(d.Dates.Method == Year && slices.ContainsFunc(t.Columns, isTime), "tables: %s: dates by year have no times of day", t.Table)
	}
	err = s.Goal.Validate()
	refuse(err != nil, "%w", err)
	refuse(s.Rare < 0 || s.Rare > math.MaxInt32, "rare-concepts: want a number of persons, or 0")
	s.Dates, err = d.Dates.checked()
	refuse(err != nil, "dates: %w", err)
	return s, faults
}

// String says how dates are hidden, for the manifest.
func (d Dates) String() string {
	switch {
	case d.Method == Year:
		return "years only"
	case d.Weekdays:
		return fmt.Sprintf("each person's moved by whole weeks, at most %d days", d.Days/7*7)
	}
	return fmt.Sprintf("each person's moved by one number of days, at most %d", d.Days)
}

func (d Dates) checked() (Dates, error) {
	switch d.Method {
	case Year:
		if d.Days != 0 || d.Weekdays {
			return d, errors.New("days and weekdays are of shifted dates")
		}
		return d, nil
	case Shift, "":
		d.Method = Shift
		if d.Days == 0 {
			d.Days = defaultDays
		}
		if d.Days < 1 || d.Days > 3650 || d.Weekdays && d.Days < 7 {
			return d, errors.New("days: want 1 to 3650, and with weekdays 7 or more")
		}
		return d, nil
	}
	return d, errors.New("method: want shift or year")
}

func sensitiveOf(list []sensitive) (out []Sensitive, err error) {
	for _, d := range list {
		t, ok := eventTables[d.Table]
		switch {
		case !ok || omop.ConceptColumn(t) == "":
			return nil, errors.New("table: want a table of events, such as condition_occurrence")
		case d.Name == "" || slices.ContainsFunc(out, func(s Sensitive) bool { return s.Name == d.Name }):
			return nil, errors.New("name: want one for each")
		case len(d.Concepts) == 0:
			return nil, errors.New("concepts: want one or more")
		}
		out = append(out, Sensitive{d.Name, t, d.Concepts})
	}
	return out, nil
}

func valueOr[T any](p *T, or T) T {
	if p == nil {
		return or
	}
	return *p
}

// Read returns the tables of events that the extract needs: those that it writes, and
// those in which it looks for what is sensitive.
func (s Spec) Read() map[omop.Table]bool {
	tables := make(map[omop.Table]bool)
	for _, t := range s.Tables {
		tables[t.Table] = true
	}
	for _, t := range s.Sensitive {
		tables[t.Table] = true
	}
	return tables
}
