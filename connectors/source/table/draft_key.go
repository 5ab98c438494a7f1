package table

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// key returns the columns that tell the rows of the sample apart if the mapping's own key
// does not; nil if none are needed or none help. An id of the row's own stands alone.
// Else it is the code and the start with as few others as do it.
//
// Ids are made of the key, so only columns count that do not change after the row was
// written: ids, codes and the start. An end is filled in later, a value is corrected, and
// the row would be another one when it is sent again.
func (s *sample) key(ctx context.Context, m *Mapping, d *draft) []string {
	before := s.repeats(ctx, m)
	if before == 0 {
		return nil
	}
	defer func() { d.key = nil }()
	left := func(names []string) int {
		d.key = names
		m, err := Parse(d.write())
		if len(names) == 0 || err != nil {
			return before
		}
		return s.repeats(ctx, m)
	}
	own, base, more := d.keyColumns()
	for _, name := range own {
		if left([]string{name}) == 0 {
			d.note("key", "patient, code and time are not enough to tell rows apart; this column did in the rows that were looked at")
			return []string{name}
		}
	}
	all := slices.Concat(base, own, more)
	least := left(all)
	if least == before {
		d.note("key", "rows with the same patient, code and time differ: name the columns that tell them apart in key:")
		return nil
	}
	for _, name := range slices.Backward(slices.Concat(own, more)) {
		if fewer := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == name }); left(fewer) == least {
			all = fewer
		}
	}
	d.note("key", "patient, code and time are not enough to tell rows apart; these columns did in the rows that were looked at")
	if least > 0 {
		d.note("key", fmt.Sprintf("%d of these rows still have the key of another one and will be passed over as repeated-key; ends, values and texts were not tried, as they change", least))
	}
	return all
}

// keyColumns are the columns that a key may have, surest first: ids of a row of its own,
// those that are its key by default, and others.
func (d *draft) keyColumns() (own, base, more []string) {
	never := []role{rolePatient, roleEnd, roleDeath, roleValue, roleText, roleStatus, roleFlag, roleUnit, roleLow, roleHigh, roleSystem}
	usual := []role{roleCode, roleStart, roleTime}
	for _, p := range d.columns {
		has := func(r role) bool { return d.found[r] == p }
		switch {
		case p.name == "" || p.n == 0 || slices.ContainsFunc(never, has):
		case slices.ContainsFunc(usual, has):
			base = append(base, p.name)
		case p.share(p.dates()) > 0.5:
			// Another date than the start, such as that of a report, may come later.
		case p.n == d.rows && (p.identifies() || strings.HasSuffix(p.plain, "SEQ")) && d.found[roleEncounter] != p:
			own = append(own, p.name)
		case p.identifies() || d.found[roleEncounter] == p || strings.HasSuffix(p.plain, "CODE"):
			more = append(more, p.name)
		}
	}
	return own, base, more
}

// repeats counts rows of the sample that have the key of another one and differ from it.
func (s *sample) repeats(ctx context.Context, m *Mapping) (n int) {
	utf := *m
	utf.latin = false // the sample is decoded
	for _, err := range Read(ctx, bytes.NewReader(s.text), &utf, Options{}) {
		if p, ok := fhir.AsProblem(err); ok && p.Rule == RuleRepeatedKey {
			n++
		}
	}
	return n
}
