package memory

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Needs are the columns that are wanted of each domain. Nil is all of all.
type Needs map[cohort.Domain][]events.Column

// Add adds what else is needed.
func (n Needs) Add(more map[cohort.Domain][]events.Column) {
	for d, columns := range more {
		n[d] = append(n[d], columns...)
	}
}

// Read reads people and the events that are needed. An event of nobody, or without a day on
// which it began, is left out.
func Read(ctx context.Context, from Tables, needs Needs) (*Source, error) {
	r := reader{from: from}
	people, err := r.people(ctx)
	if err != nil {
		return nil, err
	}
	s := New(people, nil)
	for d, l := range layouts {
		asked, needed := needs[d]
		if needs != nil && !needed {
			continue
		}
		e, err := r.events(ctx, l, l.wanted(asked, needs == nil), people.ID)
		if err != nil {
			return nil, err
		}
		s.tables[d] = &table{all: e}
	}
	slices.Sort(r.missing)
	s.missing = slices.Compact(r.missing)
	return s, nil
}

// reader reads tables, and those that events refer to once.
type reader struct {
	from   Tables
	others map[string]map[int64]referred // by table

	missing []string // tables that are not there
}

// referred is a row of a table that events refer to.
type referred struct {
	person  int64 // of a visit
	concept int64
}

// rows calls each with the cells of every row, in the order of columns, "" for a column that
// is not there. A table that is not there has no rows.
func (r *reader) rows(ctx context.Context, table string, columns []string, each func(cells []string) error) (err error) {
	file, err := r.from.Open(ctx, table, columns)
	if errors.Is(err, fs.ErrNotExist) {
		r.missing = append(r.missing, table)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := csv.NewReader(file)
	in.ReuseRecord = true
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", table, err)
	}
	at := make([]int, len(columns))
	for i, c := range columns {
		at[i] = slices.IndexFunc(header, func(name string) bool {
			return strings.EqualFold(strings.TrimPrefix(strings.TrimSpace(name), "\ufeff"), c)
		})
	}
	cells := make([]string, len(columns))
	for n := 0; ; n++ {
		if n%4096 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		for i, j := range at {
			cells[i] = ""
			if j >= 0 {
				cells[i] = record[j]
			}
		}
		if err := each(cells); err != nil {
			line, _ := in.FieldPos(0)
			return fmt.Errorf("table %s, line %d: %w", table, line, err)
		}
	}
}

// events reads the events of one table.
func (r *reader) events(ctx context.Context, l layout, columns []events.Column, ids []int64) (events.Events, error) {
	var e events.Events
	vectors := make([]events.Vector, len(columns))
	names := []string{"person_id", l.id, l.concept, l.start, l.end, l.visit}
	for _, c := range columns {
		own := string(c)
		if table, _, refers := strings.Cut(own, "."); refers {
			own = table + "_id"
			if err := r.load(ctx, table); err != nil {
				return e, err
			}
		}
		names = append(names, own)
	}
	var bad failure
	err := r.rows(ctx, l.name, names, func(cells []string) error {
		id := bad.whole(cells, names, 0)
		person, known := slices.BinarySearch(ids, id)
		start := bad.day(cells, names, 3)
		if !known || start == events.NoDay {
			return bad.err
		}
		e.Person, e.Start = append(e.Person, uint32(person)), append(e.Start, start)
		e.ID, e.Domain = append(e.ID, bad.whole(cells, names, 1)), append(e.Domain, bad.whole(cells, names, 2))
		e.End, e.Visit = append(e.End, bad.day(cells, names, 4)), append(e.Visit, bad.whole(cells, names, 5))
		for i, c := range columns {
			v, cell := &vectors[i], len(names)-len(columns)+i
			switch {
			case slices.Contains(texts, string(c)):
				v.Text, v.Absent = append(v.Text, strings.Clone(cells[cell])), append(v.Absent, cells[cell] == "")
			case slices.Contains(numbers, string(c)):
				v.Number = append(v.Number, bad.number(cells, names, cell))
			default:
				v.Int = append(v.Int, r.refer(c, bad.whole(cells, names, cell), id))
			}
		}
		return bad.err
	})
	if err != nil {
		return e, err
	}
	e.Columns = make(map[events.Column]events.Vector, len(columns))
	for i, c := range columns {
		e.Columns[c] = vectors[i]
	}
	return inOrder(e), nil
}

// inOrder puts events in order.
func inOrder(e events.Events) events.Events {
	order := make([]uint32, len(e.Person))
	for i := range order {
		order[i] = uint32(i)
	}
	compare := func(a, b uint32) int {
		return cmp.Or(cmp.Compare(e.Person[a], e.Person[b]), cmp.Compare(e.Start[a], e.Start[b]), cmp.Compare(e.ID[a], e.ID[b]))
	}
	if slices.IsSortedFunc(order, compare) {
		return e
	}
	slices.SortFunc(order, compare)
	t := table{all: e}
	columns := make([]events.Column, 0, len(e.Columns))
	for c := range e.Columns {
		columns = append(columns, c)
	}
	sorted, err := t.take(order, columns)
	if err != nil {
		return e // unreachable: the columns are those that there are
	}
	return *sorted
}

// load reads a table that events refer to.
func (r *reader) load(ctx context.Context, name string) error {
	if r.others[name] != nil {
		return nil
	}
	if r.others == nil {
		r.others = map[string]map[int64]referred{}
	}
	names := []string{name + "_id", map[string]string{
		"provider": "specialty_concept_id", "visit_occurrence": "visit_concept_id", "care_site": "place_of_service_concept_id",
	}[name], "person_id"}
	all := map[int64]referred{}
	var bad failure
	err := r.rows(ctx, name, names, func(cells []string) error {
		row := referred{concept: bad.whole(cells, names, 1), person: events.Null}
		if name == "visit_occurrence" {
			row.person = bad.whole(cells, names, 2)
		}
		if id := bad.whole(cells, names, 0); id != events.Null {
			all[id] = row
		}
		return bad.err
	})
	r.others[name] = all
	return err
}

// refer returns the value of a column, from the row that id refers to if it is another
// table's. A visit has to be that of the person.
func (r *reader) refer(c events.Column, id, person int64) int64 {
	table, wanted, refers := strings.Cut(string(c), ".")
	if !refers {
		return id
	}
	row, ok := r.others[table][id]
	switch {
	case !ok || id == events.Null || table == "visit_occurrence" && row.person != person:
		return events.Null
	case wanted == table+"_id":
		return id
	}
	return row.concept
}

// failure is the first cell that is not what its column holds.
type failure struct{ err error }

func (f *failure) fail(what, column string) {
	if f.err == nil {
		f.err = fmt.Errorf("column %s is no %s", column, what)
	}
}

// whole reads a whole number, also one written as 12.0.
func (f *failure) whole(cells, names []string, i int) int64 {
	text := cells[i]
	if text == "" {
		return events.Null
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		f.fail("whole number", names[i])
		return events.Null
	}
	return int64(v)
}

func (f *failure) number(cells, names []string, i int) float64 {
	if cells[i] == "" {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(cells[i]), 64)
	if err != nil {
		f.fail("number", names[i])
	}
	return v
}

// day reads YYYY-MM-DD or YYYYMMDD, whatever time follows.
func (f *failure) day(cells, names []string, i int) events.Day {
	text := cells[i]
	if text == "" {
		return events.NoDay
	}
	if len(text) == 8 {
		text = text[:4] + "-" + text[4:6] + "-" + text[6:]
	}
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		f.fail("day", names[i])
		return events.NoDay
	}
	year, month, day := digits(text[:4]), digits(text[5:7]), digits(text[8:10])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 31 {
		f.fail("day", names[i])
		return events.NoDay
	}
	return dayOf(year, month, day)
}

// digits returns the number that text is, -1 for none.
func digits(text string) int {
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// dayOf counts the days since 1970-01-01. Source: H. Hinnant, chrono-Compatible Low-Level
// Date Algorithms, days_from_civil.
func dayOf(year, month, day int) events.Day {
	if month <= 2 {
		year--
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + day - 1
	return events.Day(era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468)
}
