package fhirstore

import (
	"bytes"
	"cmp"
)

// term is a row of fhir_term.
type term struct {
	hash   hash
	number int64
}

func (t term) row() []any { return []any{t.hash[:], t.number} }

func (t term) compare(u term) int {
	return cmp.Or(bytes.Compare(t.hash[:], u.hash[:]), cmp.Compare(t.number, u.number))
}

// span is a row of fhir_date.
type span struct {
	Span
	number int64
}

func (s span) row() []any { return []any{s.number, s.Param, s.Low, s.High} }

func (s span) compare(t span) int {
	return cmp.Or(cmp.Compare(s.number, t.number), cmp.Compare(s.Param, t.Param), cmp.Compare(s.Low, t.Low), cmp.Compare(s.High, t.High))
}

// byPlace orders versions by file, and in a file as they lie there.
func byPlace(a, b *Version) int {
	return cmp.Or(bytes.Compare(a.place.file[:], b.place.file[:]), cmp.Compare(a.place.start, b.place.start))
}
