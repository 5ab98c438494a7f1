package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// draft is a proposal while it is made.
type draft struct {
	*sample
	name  string
	kind  string // of the record; empty if nothing says so
	found [roleCount]*profile
	wide  []*profile
	key   []string
	notes []string

	points int // how much speaks for kind

	system string // of the codes
	dates  string
	nulls  []string
	doubts []string // about nulls
	opened []string // about columns of the record
}

// note adds what a person must decide and returns it.
func (d *draft) note(where, text string) string {
	if note := where + ": " + text; !slices.Contains(d.notes, note) {
		d.notes = append(d.notes, note)
	}
	return text
}

// column is the name of the column with a role, "?" for none.
func (d *draft) column(r role) string {
	if p := d.found[r]; p != nil {
		return p.name
	}
	return undecided
}

// decide finds out what the columns are for and what a row is.
func (d *draft) decide() {
	taken := func(p *profile) bool { return p.name == "" || slices.Contains(d.found[:], p) }
	take := func(roles ...role) {
		for _, r := range roles {
			if d.found[r] == nil {
				d.found[r] = d.find(r, taken)
			}
		}
	}
	d.decideDomain()
	take(roleBirth, roleDeath, roleSex, roleRace, roleEthnicity, rolePatient)
	if d.found[roleCode] == nil {
		d.found[roleCode] = d.findCode(taken)
	}
	take(roleSystem, roleValue, roleUnit, roleClass, roleEncounter, roleOwnID, roleText, roleTime, roleStart, roleEnd, roleCategory,
		roleFlag, roleLow, roleHigh, roleDose, roleRoute, roleSig, roleQuantity, roleDays, roleLot, roleKind, roleStatus)
	d.kind, d.points = d.sample.kind(d.name, &d.found)
	if letters := d.domain(); letters != "" {
		if known := sdtmKinds[letters]; known != "" {
			d.kind, d.points = known, sure
		} else if d.plain(letters+"TESTCD") != nil {
			d.kind, d.points = "observation", sure
		}
	}
	if d.kind == "observation" && d.found[roleCode] == nil || d.kind == "" || d.kind == "patient" && d.found[roleBirth] == nil {
		d.widen(taken)
	}
	if d.kind == "encounter" && d.found[roleOwnID] == nil {
		d.found[roleOwnID] = d.found[roleEncounter]
	}
	// A record with one time takes it by whatever name it has.
	for _, pair := range [][2]role{{roleTime, roleStart}, {roleStart, roleTime}} {
		if d.found[pair[0]] == nil {
			d.found[pair[0]] = d.found[pair[1]]
		}
	}
	if d.found[roleTime] == nil {
		for _, p := range d.columns {
			if dated(p) && p.n > 0 && !taken(p) {
				d.found[roleTime], d.found[roleStart] = p, p
				d.note(p.name, "the first column with dates; is it the right one?")
				break
			}
		}
	}
	d.decideSystem()
	d.decideForms()
}

// widen takes the table for a wide one, if it has columns of numbers.
func (d *draft) widen(taken func(*profile) bool) {
	for _, p := range d.columns {
		if !taken(p) && p.n > 0 && p.share(p.points+p.commas+p.wholes) > 0.8 && !p.identifies() && p.share(p.packed) < 0.9 && !isOrder(p) {
			d.wide = append(d.wide, p)
		}
	}
	if len(d.wide) >= 3 || len(d.wide) > 0 && d.kind != "patient" {
		d.kind = "observation"
		return
	}
	d.wide = nil
}

// isOrder reports whether the column is none that is measured: ids, ages, counters and
// places.
func isOrder(p *profile) bool {
	for _, ending := range []string{"ID", "DY", "SEQ", "NUM", "NR", "CODE"} {
		if strings.HasSuffix(p.plain, ending) {
			return true
		}
	}
	return slices.Contains([]string{"AGE", "TIME", "DAY", "DAYS", "VISIT", "STATUS", "TRT", "ARM", "SITE", "ZIP", "LAT", "LON"}, p.plain)
}

// decideSystem says which system the codes are of.
func (d *draft) decideSystem() {
	p := d.found[roleCode]
	if p == nil || d.found[roleSystem] != nil {
		return
	}
	digits := p.share(p.wholes) > 0.9
	switch d.system = p.codes(); {
	case d.system != "":
	case d.kind == "medication" && digits:
		d.system = "RxNorm"
		d.note(p.name, "these look like RxNorm, but other systems have numbers as well")
	case d.kind == "immunization" && digits && p.longest <= 3:
		d.system = "CVX"
		d.note(p.name, "these look like CVX, but other systems have numbers as well")
	default:
		d.system = localSystem
		d.note(p.name, "these are codes of no system that was recognized; map them in codes:")
	}
}

// decideForms says how dates, numbers and empty cells are written.
func (d *draft) decideForms() {
	var us, eu, slash, packed, iso, zoneless int
	for _, p := range d.columns {
		if p.share(p.dates()) < 0.5 {
			continue
		}
		us, eu, slash, packed, iso = us+p.us, eu+p.eu, slash+p.slash, packed+p.packed, iso+p.iso
		for cell := range p.distinct {
			if len(cell) > 10 && !strings.HasSuffix(cell, "Z") && !strings.ContainsAny(cell[10:], "+-") {
				zoneless++
			}
		}
	}
	switch {
	case us > 0 && eu > 0:
		d.dates = undecided
		d.note("dates", "some are 1/31/2024 and some 31/1/2024; one table can have one of these")
	case us > 0:
		d.dates = "us"
	case eu > 0:
		d.dates = "eu"
	case slash > 0:
		d.dates = undecided
		d.note("dates", "us is 1/31/2024 and eu 31/1/2024; no day beyond 12 was found that tells")
	case packed > 0:
		d.dates = "yyyymmdd"
	}
	if zoneless > 0 {
		d.note("zone", "some times have no offset; name the time zone they are in, such as Europe/Berlin")
	}
	d.decideNulls()
}

// decideNulls says which spellings mean that there is nothing. One that stands among local
// codes may be a code, such as NA for sodium: it is left to a person.
func (d *draft) decideNulls() {
	seen := map[string]bool{}
	for _, p := range d.columns {
		for spelling := range p.nulls {
			if !slices.Contains(nullNumbers, spelling) || p.share(p.numbers()) > 0.8 && !p.negative {
				seen[spelling] = true
			}
		}
	}
	for _, spelling := range slices.Concat(nullSpellings, nullNumbers) {
		switch code := d.found[roleCode]; {
		case code != nil && code.nulls[spelling] > 0 && code.codes() == "":
			d.doubts = append(d.doubts, d.note("null", fmt.Sprintf(
				"%s stands in %s too, where it may be a code such as sodium's: say in codes: what it means there, and only then list it in null:", spelling, code.name)))
			if !slices.Contains(nullNumbers, spelling) {
				code.distinct[spelling] = code.nulls[spelling] // to be listed with the others
			}
		case !seen[spelling]:
		default:
			d.nulls = append(d.nulls, spelling)
			switch {
			case slices.Contains(nullNumbers, spelling):
				d.doubts = append(d.doubts, d.note("null", fmt.Sprintf("does %s say that there is no value? Otherwise take it out", spelling)))
			case code != nil && code.nulls[spelling] > 0:
				d.doubts = append(d.doubts, d.note("null", fmt.Sprintf("%s stands in %s too; rows that have it there make no record", spelling, code.name)))
			}
		}
	}
}

// comma reports whether numbers have a decimal comma.
func (d *draft) comma() bool {
	points, commas := 0, 0
	for _, p := range d.columns {
		if p.share(p.numbers()) > 0.5 {
			points, commas = points+p.points, commas+p.commas
		}
	}
	return commas > points
}

// spellingsOf are the cells of a column, most frequent first.
func spellingsOf(p *profile) []string {
	list := slices.Sorted(maps.Keys(p.distinct))
	slices.SortStableFunc(list, func(a, b string) int { return p.distinct[b] - p.distinct[a] })
	return list
}
