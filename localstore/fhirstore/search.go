package fhirstore

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Relation is how a time of a resource stands to a time that is searched, as
// https://hl7.org/fhir/R4/search.html#prefix has it.
type Relation string

// The relations.
const (
	Within   Relation = "eq" // the resource's time is all in it
	Outside  Relation = "ne" // it is not
	After    Relation = "gt" // part of it is after
	Before   Relation = "lt" // part of it is before
	From     Relation = "ge" // After or Within
	Until    Relation = "le" // Before or Within
	Starts   Relation = "sa" // all of it is after
	Ends     Relation = "eb" // all of it is before
	Overlaps Relation = "ap" // part of it is in it
)

// relations are what must hold of the columns low (1) and high (2), and which bounds of
// the time that is searched go into it.
var relations = map[Relation]struct {
	sql   string
	binds string // L is the low bound, H the high one
}{
	Within:   {"%[1]s >= ? AND %[2]s <= ?", "LH"},
	Outside:  {"NOT (%[1]s >= ? AND %[2]s <= ?)", "LH"},
	After:    {"%[2]s > ?", "H"},
	Before:   {"%[1]s < ?", "L"},
	From:     {"(%[2]s > ? OR (%[1]s >= ? AND %[2]s <= ?))", "HLH"},
	Until:    {"(%[1]s < ? OR (%[1]s >= ? AND %[2]s <= ?))", "LLH"},
	Starts:   {"%[1]s >= ?", "H"},
	Ends:     {"%[2]s <= ?", "L"},
	Overlaps: {"%[1]s < ? AND %[2]s > ?", "HL"},
}

// Known reports whether r is one of the above.
func (r Relation) Known() bool { return relations[r].sql != "" }

// Time is a time that is searched, from Low up to but without High, in milliseconds
// since 1970 UTC.
type Time struct {
	Relation  Relation
	Low, High int64
}

// Query asks for the newest versions of resources that are not deleted. All that is
// given must hold; of each inner list one must.
type Query struct {
	private

	Types []string // none means all
	IDs   []string // none means all
	Terms [][]Term // the most selective first
	Times []TimesOf
	Since [][]Time // of the last change

	// Sort is the parameter of [Span] whose earliest Low sorts, [Updated] for the last
	// change, empty for the order of creation, which settles ties of the others.
	// Resources without such a span come last.
	Sort       string
	Descending bool

	After Cursor // the zero Cursor begins
	Limit int    // resources, 1 or more
}

// Updated is the Query.Sort for the last change.
const Updated = "_lastUpdated"

// TimesOf asks for a span of one parameter.
type TimesOf struct {
	Param string
	AnyOf []Time
}

// Cursor is where a page ended.
type Cursor struct{ Key, Number int64 }

// Cursor is where v stands in the search that returned it.
func (v Version) Cursor() Cursor { return Cursor{v.key, v.number} }

// Search returns the resources that q asks for, without their bodies.
func (s *Store) Search(ctx context.Context, tx *sqldb.Tx, q Query) ([]Version, error) {
	w := &where{}
	key := w.sortKey(q)
	s.conditions(w, q)
	text := `SELECT * FROM (SELECT ` + versionColumns + `, ` + key + ` AS sort_key FROM fhir_resource r JOIN fhir_version v ON v.number = r.number AND v.version = r.version` + w.String() + `) s`
	direction, beyond := "", ">"
	if q.Descending {
		direction, beyond = " DESC", "<"
	}
	if q.After != (Cursor{}) {
		text += ` WHERE (sort_key ` + beyond + ` ? OR sort_key = ? AND number > ?)`
		w.args = append(w.args, q.After.Key, q.After.Key, q.After.Number)
	}
	text += ` ORDER BY sort_key` + direction + `, number LIMIT ?`
	rows, err := tx.Query(ctx, text, append(w.args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("fhirstore: search: %w", err)
	}
	defer rows.Close()
	var found []Version
	for rows.Next() {
		var v Version
		if err := v.scan(rows, &v.key); err != nil {
			return nil, fmt.Errorf("fhirstore: search: %w", err)
		}
		found = append(found, v)
	}
	return found, rows.Err()
}

// Count returns how many resources q asks for, but no more than most. Sort, After and
// Limit are not used.
func (s *Store) Count(ctx context.Context, tx *sqldb.Tx, q Query, most int64) (int64, error) {
	w := &where{}
	s.conditions(w, q)
	var n int64
	err := tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM fhir_resource r`+w.String()+` LIMIT ?) s`, append(w.args, most)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("fhirstore: count: %w", err)
	}
	return n, nil
}

// where is a condition in the making.
type where struct {
	all  []string
	args []any
}

func (w *where) add(condition string, args ...any) {
	w.all, w.args = append(w.all, condition), append(w.args, args...)
}

func (w *where) String() string { return " WHERE " + strings.Join(w.all, " AND ") }

// sortKey is the expression that a search sorts by.
func (w *where) sortKey(q Query) string {
	switch q.Sort {
	case "":
		return "CAST(0 AS BIGINT)"
	case Updated:
		return "r.updated_ms"
	}
	last := int64(math.MaxInt64)
	if q.Descending {
		last = math.MinInt64 + 1 // PostgreSQL reads the least one as a decimal
	}
	w.args = append(w.args, q.Sort)
	return fmt.Sprintf(`coalesce((SELECT min(d.low_ms) FROM fhir_date d WHERE d.number = r.number AND d.param = ?), %d)`, last)
}

func (s *Store) conditions(w *where, q Query) {
	w.add(`NOT r.deleted`)
	if len(q.Types) > 0 {
		w.add(`r.type IN (`+sqldb.Placeholders(len(q.Types))+`)`, texts(q.Types)...)
	}
	if len(q.IDs) > 0 {
		w.add(`r.id IN (`+sqldb.Placeholders(len(q.IDs))+`)`, texts(q.IDs)...)
	}
	for i, group := range q.Terms {
		hashes := make([]any, len(group))
		for j, t := range group {
			h := s.term(t)
			hashes[j] = h[:]
		}
		in := `SELECT t.number FROM fhir_term t WHERE t.term IN (` + sqldb.Placeholders(len(group)) + `)`
		if i == 0 { // drives the search, the others are looked up
			w.add(`r.number IN (`+in+`)`, hashes...)
		} else {
			w.add(`EXISTS (`+in+` AND t.number = r.number)`, hashes...)
		}
	}
	for _, t := range q.Times {
		anyOf := &where{args: []any{t.Param}}
		anyOf.times(t.AnyOf, "d.low_ms", "d.high_ms")
		w.add(`EXISTS (SELECT 1 FROM fhir_date d WHERE d.number = r.number AND d.param = ? AND (`+strings.Join(anyOf.all, " OR ")+`))`, anyOf.args...)
	}
	for _, t := range q.Since {
		anyOf := &where{}
		anyOf.times(t, "r.updated_ms", "(r.updated_ms + 1)")
		w.add(`(`+strings.Join(anyOf.all, " OR ")+`)`, anyOf.args...)
	}
}

// times adds a condition on two columns for each of list.
func (w *where) times(list []Time, low, high string) {
	for _, t := range list {
		r := relations[t.Relation]
		var args []any
		for _, bound := range r.binds {
			if bound == 'L' {
				args = append(args, t.Low)
			} else {
				args = append(args, t.High)
			}
		}
		w.add("("+fmt.Sprintf(r.sql, low, high)+")", args...)
	}
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
