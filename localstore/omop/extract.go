package omop

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// This file is where rows leave the store for a file on the site's own disk. It is for
// package node/extract alone, which decides what of them may be written and records
// that it was. No number of a person or row comes out of it: of a person only what a
// [Mask] makes of the number, of a row a [RowID] to compare with others. Texts do not
// come out at all, as any of them can name someone.

// Mask makes of a person what only the holder of its key can make again. It is not
// safe for concurrent use.
type Mask struct{ mac hash.Hash }

// NewMask returns the mask of a key, which should be random.
func NewMask(key [32]byte) *Mask { return &Mask{hmac.New(sha256.New, key[:])} }

// Of returns the HMAC-SHA256 of a purpose and a person. Purposes have no zero byte.
func (m *Mask) Of(purpose string, p PersonID) [sha256.Size]byte {
	m.mac.Reset()
	_, _ = io.WriteString(m.mac, purpose) // a hash does not fail
	_, _ = m.mac.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(p.id)))
	return [sha256.Size]byte(m.mac.Sum(nil))
}

// RowID tells rows of one table apart, and a visit from the rows that belong to it. It
// neither prints nor marshals.
type RowID struct{ id int64 }

// Format prints a fixed text whatever the verb.
func (RowID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "row:redacted") }

// MarshalJSON always fails.
func (RowID) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// Extracted is a row as an extract takes it. It neither prints nor marshals.
type Extracted struct {
	Person PersonID
	ID     RowID
	Visit  RowID // zero for none
	// Values are those of the columns that were asked for, in order: nil, int64,
	// float64, [Date] or [time.Time].
	Values []any
}

// Format prints a fixed text whatever the verb.
func (Extracted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "row:redacted") }

// MarshalJSON always fails.
func (Extracted) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// Holder is a person who has a concept.
type Holder struct {
	Person    PersonID
	ConceptID int64
}

// Extractable returns the columns of t that [Store.Extract] gives, in the order of the
// CDM: all but keys, which are not the site's to hand on, and texts.
func Extractable(t Table) []string {
	var names []string
	for _, c := range specs[t].columns {
		if kindOf(t, c) != 0 {
			names = append(names, c)
		}
	}
	return names
}

// StartColumn returns the column with the day on which a row of t starts.
func StartColumn(t Table) string {
	switch t {
	case DeathTable:
		return "death_date"
	case PeriodTable:
		return "observation_period_start_date"
	case PayerPlanTable:
		return "payer_plan_period_start_date"
	}
	return specs[t].start
}

// ConceptColumn returns the column with the concept that a row of t is about, empty
// for none.
func ConceptColumn(t Table) string { return specs[t].concept }

// KeyColumn returns the column with the key of t.
func KeyColumn(t Table) string { return specs[t].key }

// HasVisit reports whether rows of t can belong to a visit.
func HasVisit(t Table) bool { return hasColumn(t, "visit_occurrence_id") }

func hasColumn(t Table, name string) bool {
	for _, c := range specs[t].columns {
		if c == name {
			return true
		}
	}
	return false
}

// kind is how a value of a column is read, 0 for one that does not leave the store.
type kind int

const (
	wholeKind kind = iota + 1
	numberKind
	dateKind
	timeKind
)

func kindOf(t Table, column string) kind {
	switch {
	case strings.HasSuffix(column, "_datetime"):
		return timeKind
	case strings.HasSuffix(column, "_date"):
		return dateKind
	case strings.HasSuffix(column, "_concept_id"), column == "refills", column == "days_supply", strings.HasSuffix(column, "_of_birth"):
		return wholeKind
	case column == "quantity" && (t == ProcedureTable || t == DeviceTable):
		return wholeKind
	case column == "quantity", column == "value_as_number", column == "range_low", column == "range_high":
		return numberKind
	}
	return 0
}

// Extract yields the rows of t of some persons, with the columns that are named, in the
// order of their start. Rows that the quality checks found invalid are left out. The
// transaction can do nothing else until the loop ends. An error is the last thing that
// is yielded.
func (s *Store) Extract(ctx context.Context, tx *sqldb.Tx, t Table, columns []string, persons []PersonID) iter.Seq2[Extracted, error] {
	sp := specs[t]
	kinds := make([]kind, len(columns))
	for i, c := range columns {
		if kinds[i] = kindOf(t, c); kinds[i] == 0 || !hasColumn(t, c) {
			return func(yield func(Extracted, error) bool) {
				yield(Extracted{}, fmt.Errorf("omop: extract %s: column %s does not leave the store", sp.name, c))
			}
		}
	}
	visit := "NULL"
	if HasVisit(t) {
		visit = "e.visit_occurrence_id"
	}
	query := "SELECT e.person_id, e." + sp.key + ", " + visit
	for _, c := range columns {
		query += ", e." + c
	}
	cond, arg := tx.Dialect().Among("e.person_id", numbers(persons))
	query += " FROM " + sp.name + " e WHERE " + cond
	if t != DeathTable { // whose findings are about its lineage
		query += " AND " + valid("e."+sp.key)
	}
	if start := StartColumn(t); start != "" {
		query += " ORDER BY e." + start + ", e." + sp.key
	}
	return scanAll(ctx, tx, query, []any{arg}, func(rows *sqldb.Rows) (Extracted, error) { return scanExtracted(rows, kinds) })
}

func scanExtracted(rows *sqldb.Rows, kinds []kind) (x Extracted, err error) {
	var visit *int64
	into := []any{&x.Person, &x.ID.id, &visit}
	for _, k := range kinds {
		switch k {
		case wholeKind:
			into = append(into, new(*int64))
		case numberKind:
			into = append(into, new(*float64))
		case dateKind:
			into = append(into, new(*Date))
		case timeKind:
			into = append(into, new(*time.Time))
		default:
			return x, errors.New("a column of no kind")
		}
	}
	given := append([]any(nil), into...) // Scan replaces pointers to times by its own
	if err := rows.Scan(into...); err != nil {
		return x, err
	}
	if visit != nil {
		x.Visit.id = *visit
	}
	x.Values = make([]any, len(kinds))
	for i, v := range given[3:] {
		switch v := v.(type) {
		case **int64:
			x.Values[i] = valueOf(*v)
		case **float64:
			x.Values[i] = valueOf(*v)
		case **Date:
			x.Values[i] = valueOf(*v)
		case **time.Time:
			x.Values[i] = valueOf(*v)
		}
	}
	return x, nil
}

// valueOf is what p points to, or nil.
func valueOf[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func numbers(persons []PersonID) []int64 {
	ids := make([]int64, len(persons))
	for i, p := range persons {
		ids[i] = p.id
	}
	return ids
}

// Holders yields who has which of some concepts in valid rows of an event table, each
// once. The transaction can do nothing else until the loop ends. An error is the last
// thing that is yielded.
func (s *Store) Holders(ctx context.Context, tx *sqldb.Tx, t Table, concepts []int64) iter.Seq2[Holder, error] {
	sp := specs[t]
	if sp.concept == "" {
		return func(yield func(Holder, error) bool) {
			yield(Holder{}, fmt.Errorf("omop: holders: %s is no event table", t))
		}
	}
	cond, arg := tx.Dialect().Among("e."+sp.concept, concepts)
	query := fmt.Sprintf("SELECT DISTINCT e.person_id, e.%s FROM %s e WHERE %s AND %s", sp.concept, sp.name, cond, valid("e."+sp.key))
	return scanAll(ctx, tx, query, []any{arg}, func(rows *sqldb.Rows) (h Holder, err error) {
		err = rows.Scan(&h.Person, &h.ConceptID)
		return h, err
	})
}

// ConceptPersons adds to counts how many of some persons have each concept in valid
// rows of an event table.
func (s *Store) ConceptPersons(ctx context.Context, tx *sqldb.Tx, t Table, persons []PersonID, counts map[int64]int) error {
	sp := specs[t]
	cond, arg := tx.Dialect().Among("e.person_id", numbers(persons))
	query := fmt.Sprintf("SELECT e.%[1]s, count(DISTINCT e.person_id) FROM %[2]s e WHERE %[3]s AND %[4]s GROUP BY e.%[1]s",
		sp.concept, sp.name, cond, valid("e."+sp.key))
	rows, err := tx.Query(ctx, query, arg)
	if err != nil {
		return fmt.Errorf("omop: persons of concepts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var concept, n int64
		if err := rows.Scan(&concept, &n); err != nil {
			return fmt.Errorf("omop: persons of concepts: %w", err)
		}
		counts[concept] += int(n)
	}
	return rows.Err()
}
