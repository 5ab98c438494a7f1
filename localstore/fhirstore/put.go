package fhirstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Change is a new version of a resource.
type Change struct {
	private

	Type, ID string
	Version  int64 // one more than that of the newest version, 1 for a new resource
	Deleted  bool

	// Body is the resource in JSON as it is read back. For a deletion it is what loads
	// are told, and may be nil; nobody reads it back.
	Body []byte

	// Content is of the body without its version, see [Store.Same].
	Content Content

	// Terms and Spans are what the resource is found by; none for a deletion.
	Terms []Term
	Spans []Span
}

// Term is a value of a search parameter. A resource is found by the same three texts,
// none of which holds a zero byte.
type Term struct {
	private

	Type  string // of the resource; empty if the search is over all types
	Param string
	Value string
}

// Span is a time of a search parameter, from Low up to but without High, in
// milliseconds since 1970 UTC. An open end is the least or largest number.
type Span struct {
	Param     string
	Low, High int64
}

// Context are resources that the load of changes needs besides, in JSON: those that
// have to come before them and those that come after.
type Context struct {
	private

	Before, After [][]byte
}

// Kept is the raw copy of changes: a collection Bundle of all bodies and their context.
type Kept struct {
	File raw.Digest
	Size int64

	places []place // of the changes
}

// Keep makes the raw copy of changes, which is durable when Keep returns. It may take as
// long as a bucket does: call it in no transaction. If none names the copy, it is as that
// of a file that was never acknowledged.
func (s *Store) Keep(ctx context.Context, changes []Change, besides Context) (Kept, error) {
	content, places := s.compose(changes, besides)
	file, size, _, err := s.raw.Put(ctx, bytes.NewReader(content), math.MaxInt64-1, raw.Origin{Sender: "fhir", Source: "fhir", Name: "bundle.json"})
	if err != nil {
		return Kept{}, fmt.Errorf("fhirstore: keep: %w", err)
	}
	for i := range places {
		places[i].file = file
	}
	return Kept{File: file, Size: size, places: places}, nil
}

// Put stores changes that were kept as part of tx, which has the [Store.Lock]. A change
// whose version is not the next one is [sqldb.ErrConflict].
func (s *Store) Put(ctx context.Context, tx *sqldb.Tx, now time.Time, changes []Change, kept Kept) error {
	numbers := make([]int64, len(changes))
	var err error
	for i, c := range changes {
		if numbers[i], err = advance(ctx, tx, c, now); err != nil {
			return fmt.Errorf("fhirstore: put: %w", err)
		}
	}
	if err := s.describe(ctx, tx, now, changes, numbers, kept.places); err != nil {
		return fmt.Errorf("fhirstore: put: %w", err)
	}
	return nil
}

// compose writes the raw copy and says where in it the bodies are.
func (s *Store) compose(changes []Change, besides Context) ([]byte, []place) {
	var buf bytes.Buffer
	separator := `{"resourceType":"Bundle","type":"collection","entry":[` + "\n"
	add := func(body []byte) int64 {
		buf.WriteString(separator + `{"resource":`)
		start := int64(buf.Len())
		buf.Write(body)
		buf.WriteByte('}')
		separator = ",\n"
		return start
	}
	for _, body := range besides.Before {
		add(body)
	}
	places := make([]place, len(changes))
	for i, c := range changes {
		if c.Body == nil {
			continue
		}
		start := add(c.Body)
		if !c.Deleted {
			places[i] = place{start: start, length: int64(len(c.Body)), digest: s.hash([]byte("body"), c.Body)}
		}
	}
	for _, body := range besides.After {
		add(body)
	}
	buf.WriteString("\n]}\n")
	return buf.Bytes(), places
}

// advance gives a resource its next version and returns its number.
func advance(ctx context.Context, tx *sqldb.Tx, c Change, now time.Time) (int64, error) {
	var number int64
	var row *sqldb.Row
	if c.Version == 1 {
		row = tx.QueryRow(ctx, `INSERT INTO fhir_resource (type, id, version, deleted, updated_ms) VALUES (?, ?, 1, ?, ?) RETURNING number`,
			c.Type, c.ID, c.Deleted, now.UnixMilli())
	} else {
		row = tx.QueryRow(ctx, `UPDATE fhir_resource SET version = version + 1, deleted = ?, updated_ms = ? WHERE type = ? AND id = ? AND version = ? RETURNING number`,
			c.Deleted, now.UnixMilli(), c.Type, c.ID, c.Version-1)
	}
	err := row.Scan(&number)
	if errors.Is(err, sqldb.ErrNoRows) {
		return 0, fmt.Errorf("%w: not the next version", sqldb.ErrConflict)
	}
	if err != nil || c.Version == 1 {
		return number, err
	}
	for _, table := range []string{"fhir_term", "fhir_date"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE number = ?`, number); err != nil {
			return 0, err
		}
	}
	return number, nil
}

// describe writes the versions and what they are found by.
func (s *Store) describe(ctx context.Context, tx *sqldb.Tx, now time.Time, changes []Change, numbers []int64, places []place) error {
	columns := []string{"number", "version", "deleted", "updated_ms", "file", "start", "length", "content", "digest"}
	if _, err := tx.Insert(ctx, "fhir_version", columns, func(yield func([]any) bool) {
		for i, c := range changes {
			p := places[i]
			if !yield([]any{numbers[i], c.Version, c.Deleted, now.UnixMilli(), p.file[:], p.start, p.length, c.Content.hash[:], p.digest[:]}) {
				return
			}
		}
	}); err != nil {
		return err
	}
	var terms []term
	var spans []span
	for i, c := range changes {
		for _, t := range c.Terms {
			terms = append(terms, term{s.term(t), numbers[i]})
		}
		for _, d := range c.Spans {
			spans = append(spans, span{d, numbers[i]})
		}
	}
	// The order of the index, so that its pages are written once each.
	slices.SortFunc(terms, term.compare)
	if _, err := tx.Insert(ctx, "fhir_term", []string{"term", "number"}, rows(slices.Compact(terms))); err != nil {
		return err
	}
	slices.SortFunc(spans, span.compare)
	_, err := tx.Insert(ctx, "fhir_date", []string{"number", "param", "low_ms", "high_ms"}, rows(slices.Compact(spans)))
	return err
}

func (s *Store) term(t Term) hash {
	return s.hash([]byte("term"), []byte(t.Type), []byte(t.Param), []byte(t.Value))
}

// rows yields the columns of each of list.
func rows[T interface{ row() []any }](list []T) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for _, r := range list {
			if !yield(r.row()) {
				return
			}
		}
	}
}

// Load reads the bodies of versions. It fails with [ErrDamaged], raw.ErrDamaged or
// raw.ErrNotFound if they are not what was put.
func (s *Store) Load(ctx context.Context, versions []Version) error {
	order := make([]*Version, 0, len(versions))
	for i := range versions {
		if !versions[i].Deleted {
			order = append(order, &versions[i])
		}
	}
	slices.SortFunc(order, byPlace)
	for len(order) > 0 {
		n := 1
		for n < len(order) && order[n].place.file == order[0].place.file {
			n++
		}
		if err := s.loadFile(ctx, order[:n]); err != nil {
			return fmt.Errorf("fhirstore: load: %w", err)
		}
		order = order[n:]
	}
	return nil
}

// loadFile reads what lies in one raw copy, in order. It need not be read to its end:
// what is read is authentic, and the digest says whether it is what was put.
func (s *Store) loadFile(ctx context.Context, versions []*Version) error {
	f, err := s.raw.Open(ctx, versions[0].place.file)
	if err != nil {
		return err
	}
	defer f.Close()
	at := int64(0)
	for _, v := range versions {
		if _, err := io.CopyN(io.Discard, f, v.place.start-at); err != nil {
			return early(err)
		}
		v.Body = make([]byte, v.place.length)
		if _, err := io.ReadFull(f, v.Body); err != nil {
			return early(err)
		}
		at = v.place.start + v.place.length
		if s.hash([]byte("body"), v.Body) != v.place.digest {
			v.Body = nil
			return ErrDamaged
		}
	}
	return nil
}

// early is what it means that a raw copy ended before a body did.
func early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return err
}
