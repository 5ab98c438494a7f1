package table

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// writer writes the YAML of a draft.
type writer struct {
	*draft
	b bytes.Buffer
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

// write returns the proposal as a mapping file.
func (d *draft) write() []byte {
	w := &writer{draft: d}
	w.line("# Proposed by looking at the first %d rows. Lines with \"decide\" are for a person.", d.rows)
	w.line("version: %d", Version)
	w.line("name: %s # a part of every id: keep it once data was loaded", plainText(d.name))
	w.columns()
	w.forms()
	w.patient()
	w.codes()
	w.units()
	w.line("\nrecords:")
	w.record()
	return w.b.Bytes()
}

func (w *writer) columns() {
	var names []string
	unnamed := false
	for _, p := range w.sample.columns {
		switch name := plainText(p.name); {
		case p.name == "":
			unnamed = true
		default:
			names = append(names, name)
		}
	}
	w.line("columns: [%s]", strings.Join(names, ", "))
	if !w.header {
		w.line("header: false # decide: %s", w.note("header",
			"no row of names was recognized. List names in the order of the columns; if the first row has names, list these and take this line out"))
	} else if unnamed {
		w.line("extra: true # a column has no name")
	}
	if w.key != nil {
		w.line("key: %s # decide: these tell rows of one patient apart; ids are made of them, so they must not change", flow(w.key))
	}
	for _, note := range w.notes {
		if text, ok := strings.CutPrefix(note, "key: "); ok && !strings.HasPrefix(text, "patient, code and time") {
			w.line("# decide: key: %s", text)
		}
	}
}

func (w *writer) forms() {
	if w.latin {
		w.line("encoding: latin-1")
	}
	if len(w.nulls) > 0 {
		w.line("null: %s", flow(w.nulls))
	}
	for _, doubt := range w.doubts {
		w.line("# decide: null: %s", doubt)
	}
	if w.comma() {
		w.line("decimal: comma")
	}
	if w.dates != "" {
		w.line("dates: %s%s", plainText(w.dates), ifDecide(w.dates == undecided, "us is 1/31/2024, eu is 31/1/2024"))
	}
	if slices.ContainsFunc(w.notes, func(n string) bool { return strings.HasPrefix(n, "zone:") }) {
		w.line("# zone: Europe/Berlin # decide: times without an offset were found")
	}
}

func (w *writer) patient() {
	p := w.found[rolePatient]
	if p == nil {
		w.note("patient", "no column with the patients' numbers was recognized")
	}
	w.line("\npatient:")
	w.line("  id: %s%s", plainText(w.column(rolePatient)), ifDecide(p == nil, "the column with the patients' numbers"))
	switch {
	case p == nil:
	case p.share(p.uuids) > 0.9:
		w.line("  # no authority: these are taken for ids of FHIR Patients")
	default:
		w.note("patient", "authority: who gives out these numbers, the same in all tables of a site: with another one, or without, patients are not found (unknown-person)")
		w.line("  # decide: authority: who gives out these numbers, as HL7 v2 messages name it in PID-3. It is a part\n" +
			"  # of who a patient is: all tables of a site whose numbers are of one kind need the same, or none if\n" +
			"  # the numbers are ids of FHIR Patients. Rows of patients who were not loaded under the same one are\n" +
			"  # refused as unknown-person.\n" +
			"  # authority: NORTH-HOSPITAL")
	}
}

// meanings are words of columns that are the same everywhere.
var meanings = map[role]map[string]string{
	roleRace: {
		"white": "2106-3", "black": "2054-5", "asian": "2028-9", "native": "1002-5", "hawaiian": "2076-8",
		"WHITE": "2106-3", "BLACK OR AFRICAN AMERICAN": "2054-5", "ASIAN": "2028-9", "AMERICAN INDIAN OR ALASKA NATIVE": "1002-5",
		"NATIVE HAWAIIAN OR OTHER PACIFIC ISLANDER": "2076-8",
	},
	roleEthnicity: {"hispanic": "2135-2", "nonhispanic": "2186-5", "HISPANIC OR LATINO": "2135-2", "NOT HISPANIC OR LATINO": "2186-5"},
	roleClass: {
		"ambulatory": "AMB", "outpatient": "AMB", "wellness": "AMB", "urgentcare": "AMB", "emergency": "EMER", "inpatient": "IMP",
		"home": "HH", "virtual": "VR",
	},
	roleFlag: {"NORMAL": "N", "HIGH": "H", "LOW": "L", "ABNORMAL": "A"},
}

// used are the roles that the proposed record reads.
func (w *writer) used() []role {
	switch w.kind {
	case "patient":
		return []role{roleRace, roleEthnicity}
	case "encounter":
		return []role{roleClass}
	case "observation":
		if len(w.wide) == 0 {
			return []role{roleFlag}
		}
	}
	return nil
}

func (w *writer) codes() {
	var lines []string
	for _, r := range w.used() {
		p := w.found[r]
		if p == nil {
			continue
		}
		var known []string
		open := 0 // words without a meaning
		for _, cell := range spellingsOf(p) {
			switch meaning := meanings[r][cell]; {
			case meaning != "":
				known = append(known, "    "+plainText(cell)+": "+plainText(meaning))
			case r != roleFlag || !isInterpretation(cell):
				open++
			}
		}
		if len(known) > 0 {
			lines = append(append(lines, "  "+plainText(p.name)+":"), known...)
		}
		if open > 0 {
			w.note(p.name, fmt.Sprintf("%d of %d words were not recognized; say in codes: what they mean", open, len(p.distinct)))
		}
	}
	if len(lines) > 0 {
		w.line("\ncodes:\n%s", strings.Join(lines, "\n"))
	}
	w.localCodes(len(lines) > 0)
}

// maxProposed is how many local codes and spellings are listed.
const maxProposed = 60

// localCodes lists codes of the site's own, to be mapped. Cells that could be anything
// else than codes are not listed: long ones, ones with blanks, ones that hardly repeat.
func (w *writer) localCodes(begun bool) {
	p := w.found[roleCode]
	if p == nil || w.system != localSystem || w.kind == "patient" || strings.HasSuffix(p.plain, "TERM") || strings.HasSuffix(p.plain, "TRT") || len(p.distinct)*5 > p.n {
		return
	}
	if !begun {
		w.line("")
		w.line("# codes:")
	}
	w.line("# decide: the standard codes of these, such as LOINC 2951-2\n#   %s:", plainText(p.name))
	for i, cell := range spellingsOf(p) {
		if i == maxProposed {
			w.line("#     ...")
			break
		}
		if len(cell) <= 20 && !strings.Contains(cell, " ") {
			w.line("#     %s: ?", plainText(cell))
		}
	}
}

func (w *writer) units() {
	p := w.found[roleUnit]
	if p == nil || p.n == 0 || len(w.wide) > 0 {
		return
	}
	var known, open []string
	for _, cell := range spellingsOf(p) {
		switch {
		case spellings[cell] != "":
			known = append(known, "  "+plainText(cell)+": "+plainText(spellings[cell]))
		case !knownUnit(cell) && len(cell) <= 20 && !slices.Contains(nullSpellings, cell):
			open = append(open, "#   "+plainText(cell)+": ? # decide: its UCUM code")
		}
	}
	if len(known) > 0 {
		w.line("\nunits:\n%s", strings.Join(known, "\n"))
	} else if len(open) > 0 {
		w.line("\n# units:")
	}
	if len(open) > 0 {
		w.note(p.name, fmt.Sprintf("%d spellings of units are not UCUM; map them in units:", len(open)))
		w.line("%s", strings.Join(open[:min(len(open), maxProposed)], "\n"))
	}
}

// fieldRoles are the roles of a record's fields.
var fieldRoles = map[field]role{
	fieldCode: roleCode, fieldText: roleText, fieldValue: roleValue, fieldUnit: roleUnit, fieldTime: roleTime, fieldStart: roleStart, fieldEnd: roleEnd,
	fieldEncounter: roleEncounter, fieldID: roleOwnID, fieldCategory: roleCategory, fieldFlag: roleFlag, fieldLow: roleLow, fieldHigh: roleHigh,
	fieldClass: roleClass, fieldDose: roleDose, fieldRoute: roleRoute, fieldSig: roleSig, fieldQuantity: roleQuantity, fieldDays: roleDays, fieldLot: roleLot,
	fieldType: roleKind, fieldBirth: roleBirth, fieldDeath: roleDeath, fieldSex: roleSex, fieldRace: roleRace, fieldEthnicity: roleEthnicity,
}

func (w *writer) record() {
	at := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == w.kind })
	if at < 0 {
		w.note("records", "it was not recognized what a row is")
		w.line("  - %s: # decide: patient, encounter, observation, condition, medication, procedure, immunization or allergy", plainText(undecided))
		w.line("      start: %s", plainText(w.column(roleStart)))
		w.line("      code: %s", plainText(w.column(roleCode)))
		return
	}
	k := kinds[at]
	if len(w.wide) > 0 {
		w.people()
		w.wideRecord()
		return
	}
	unsure := w.points < sure
	if unsure {
		w.note("records", "little says that a row is what is proposed; is it?")
	}
	w.line("  - %s:%s", k.name, ifDecide(unsure, "little says that a row is one; is it?"))
	for _, f := range slices.Concat(k.required, k.optional) {
		w.field(k, f)
	}
	for _, open := range w.opened {
		w.line("      # decide: %s", open)
	}
}

// people proposes Patients of a wide table that says of which sex they are.
func (w *writer) people() {
	if w.found[roleBirth] == nil {
		return
	}
	w.line("  - patient:")
	for _, f := range []field{fieldBirth, fieldDeath, fieldSex, fieldRace, fieldEthnicity} {
		if w.found[fieldRoles[f]] != nil {
			w.line("      %s: %s", fieldNames[f], plainText(w.column(fieldRoles[f])))
		}
	}
}

// field writes one field of a record.
func (w *writer) field(k *kind, f field) {
	name := fieldNames[f]
	if f == fieldSystem {
		switch {
		case w.found[roleSystem] != nil:
			w.line("      system: %s", plainText(w.column(roleSystem)))
		case w.found[roleCode] != nil:
			w.line("      system: {const: %s}%s", plainText(w.system), ifDecide(slices.ContainsFunc(w.notes, func(n string) bool {
				return strings.HasPrefix(n, w.column(roleCode)+": these")
			}), "is it this one?"))
		}
		return
	}
	r, ok := fieldRoles[f]
	required := slices.Contains(k.required, f)
	if !ok || w.found[r] == nil && !required || k.name == "encounter" && f == fieldEncounter {
		return
	}
	if w.found[r] == nil && f == fieldBirth {
		w.line("      %s: %s # decide: %s", name, plainText(undecided), w.note(k.name+" "+name,
			"no column has birth dates, and an age cannot be read. Export this table with them (BRTHDTC), or load the patients from a system that has them and not this table"))
		return
	}
	if w.found[r] == nil {
		w.line("      %s: %s # decide: %s", name, plainText(undecided), w.note(k.name+" "+name, "no column was recognized; name one or a {const: ...}"))
		return
	}
	w.line("      %s: %s", name, plainText(w.column(r)))
}

func (w *writer) wideRecord() {
	w.line("  - observation:")
	w.field(kinds[slices.IndexFunc(kinds, func(k *kind) bool { return k.name == "observation" })], fieldTime)
	if w.found[roleEncounter] != nil {
		w.line("      encounter: %s", plainText(w.column(roleEncounter)))
	}
	w.line("      # decide: %s", w.note("wide", "the code and unit of each column; take out what is not measured"))
	w.line("      wide:")
	for _, p := range w.wide {
		w.line("        %s: {code: %s} # decide: such as {code: LOINC 1975-2, unit: mg/dL}", plainText(p.name), plainText(slug(p.name)))
	}
}

// slug is a code of the site's own for a column: its name without blanks.
func slug(name string) string { return strings.Join(strings.Fields(name), "-") }

// ifDecide is a comment that a person must decide, if yes.
func ifDecide(yes bool, what string) string {
	if yes {
		return " # decide: " + what
	}
	return ""
}

// flow writes a list.
func flow(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = plainText(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

var (
	plainForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./*-]*( [A-Za-z0-9_./*-]+)*$`)
	reserved  = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"}
)

// plainText writes a text as YAML reads it, in quotes where it has to.
func plainText(s string) string {
	if plainForm.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s) // YAML has all escapes of Go
}
