package table

import (
	"regexp"
	"slices"
	"strings"
)

// profile is what the cells of a column look like.
type profile struct {
	name  string
	plain string // the name's letters and digits, in upper case

	n        int // cells that are not empty and not null
	distinct map[string]int
	nulls    map[string]int

	shapes
	negative bool // a number other than a null's is below 0
	longest  int
	tags     map[string]int // of SNOMED CT's names: disorder, procedure ...
}

// shapes counts cells by what they look like.
type shapes struct {
	iso, us, eu, slash     int // dates; slash is one that is us and eu
	points, commas, wholes int // numbers with a decimal point or comma, or neither
	loinc, uuids           int
	icd10, category        int // ICD-10-CM; a category such as E07 is also many a number of a form
	texts                  int // none of these

	// Besides.
	packed, snomed, sexes, systems int
	units                          int // UCUM, or a spelling that is known
}

// nullSpellings are what systems write for nothing. Numbers stand apart, as they can be
// values.
var (
	nullSpellings = []string{"NA", "N/A", "n/a", "NULL", "null", "NaN", "nan", ".", "-", `\N`, "(null)"}
	nullNumbers   = []string{"-9", "-99", "-999", "-9999"}
)

type shape uint8

const (
	shapeText shape = iota
	shapeNumber
	shapeDate
	shapeID // a UUID, or digits among letters
)

var (
	uuidForm   = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	pointForm  = regexp.MustCompile(`^[<>≤≥]?=? ?[+-]?[0-9]*\.[0-9]+$`)
	commaForm  = regexp.MustCompile(`^[<>≤≥]?=? ?[+-]?[0-9]*,[0-9]+$`)
	wholeForm  = regexp.MustCompile(`^[<>≤≥]?=? ?[+-]?[0-9]+$`)
	slashForm  = regexp.MustCompile(`^([0-9]{1,2})[/]([0-9]{1,2})[/][0-9]{4}([ T].*)?$`)
	pointDate  = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}([ T].*)?$`)
	isoForm    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}(-[0-9]{2}([ T].*)?)?$`)
	packedForm = regexp.MustCompile(`^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([0-9]{4}|[0-9]{6})?$`)
	tagForm    = regexp.MustCompile(`\((disorder|finding|procedure|regime/therapy|substance|organism|situation|product)\)$`)
)

// shapeOf tells names from cells: no name of a column is a number, a date or an id.
func shapeOf(s string) shape {
	switch {
	case pointForm.MatchString(s), commaForm.MatchString(s), wholeForm.MatchString(s):
		return shapeNumber
	case slashForm.MatchString(s), pointDate.MatchString(s), isoForm.MatchString(s):
		return shapeDate
	case uuidForm.MatchString(s), isLOINC(s):
		return shapeID
	}
	return shapeText
}

// add takes one cell.
func (p *profile) add(s string) {
	if s == "" {
		return
	}
	if nothing, number := slices.Contains(nullSpellings, s), slices.Contains(nullNumbers, s); nothing || number {
		if p.nulls == nil {
			p.nulls = map[string]int{}
		}
		p.nulls[s]++
		if nothing {
			return
		}
	}
	p.n++
	p.distinct[s]++
}

// look finds out what the cells that were added are.
func (p *profile) look() {
	p.shapes, p.longest, p.negative, p.tags = shapes{}, 0, false, nil
	for s, n := range p.distinct {
		p.longest = max(p.longest, len(s))
		p.negative = p.negative || s[0] == '-' && !slices.Contains(nullNumbers, s) && shapeOf(s) == shapeNumber
		p.meaning(s, n)
		*p.form(s) += n
	}
}

// meaning counts what a cell may say whatever its form is.
func (p *profile) meaning(s string, n int) {
	if _, ok := sexOf(s); ok {
		p.sexes += n
	}
	if _, ok := uriOf(s); ok {
		p.systems += n
	}
	if knownUnit(s) {
		p.units += n
	}
	if isSNOMED(s) {
		p.snomed += n
	}
	if packedForm.MatchString(s) {
		p.packed += n
	}
	if tag := tagForm.FindStringSubmatch(s); tag != nil {
		if p.tags == nil {
			p.tags = map[string]int{}
		}
		p.tags[tag[1]] += n
	}
}

// form is the counter of cells of the form of s.
func (p *profile) form(s string) *int {
	switch {
	case uuidForm.MatchString(s):
		return &p.uuids
	case isLOINC(s):
		return &p.loinc
	case isoForm.MatchString(s):
		return &p.iso
	case pointDate.MatchString(s):
		return &p.eu
	case slashForm.MatchString(s):
		return p.slashed(s)
	case wholeForm.MatchString(s):
		return &p.wholes
	case pointForm.MatchString(s):
		return &p.points
	case commaForm.MatchString(s):
		return &p.commas
	case icd10Form.MatchString(s) && len(s) > 3:
		return &p.icd10
	case icd10Form.MatchString(s):
		return &p.category
	}
	return &p.texts
}

// slashed tells 1/31/2024 from 31/1/2024, if the day is beyond 12.
func (p *profile) slashed(s string) *int {
	found := slashForm.FindStringSubmatch(s)
	switch a, b := atoi(found[1]), atoi(found[2]); {
	case a > 12:
		return &p.eu
	case b > 12:
		return &p.us
	}
	return &p.slash
}

func (p *profile) share(n int) float64 { return float64(n) / float64(max(p.n, 1)) }

func (p *profile) dates() int { return p.iso + p.us + p.eu + p.slash + p.packed }

func (p *profile) numbers() int { return p.points + p.commas + p.wholes }

// identifies reports whether the cells look like numbers of visits and the like.
func (p *profile) identifies() bool {
	return p.n > 0 && (p.share(p.uuids) > 0.9 || strings.HasSuffix(p.plain, "ID") && len(p.distinct) > 1)
}

// codes reports which system's codes the cells look like, empty for none.
func (p *profile) codes() string {
	switch {
	case p.share(p.loinc) > 0.6:
		return "LOINC"
	case p.share(p.snomed) > 0.6:
		return "SNOMED CT"
	case p.share(p.icd10+p.category) > 0.6 && p.share(p.icd10) > 0.2:
		return "ICD-10-CM"
	}
	return ""
}

// spellings are units as laboratories print them, and what they are in UCUM.
//
// Source: "Table of Example UCUM Codes for Electronic Messaging", Regenstrief Institute,
// and its column of synonyms.
var spellings = map[string]string{
	"mg%": "mg/dL", "gm/dL": "g/dL", "gm%": "g/dL", "g%": "g/dL", "mcg/dL": "ug/dL", "mcg/L": "ug/L", "mcg/mL": "ug/mL", "mcg": "ug",
	"µg/L": "ug/L", "µg/dL": "ug/dL", "µmol/L": "umol/L", "μmol/L": "umol/L", "mEq/L": "meq/L", "MEQ/L": "meq/L",
	"mmHg": "mm[Hg]", "mm Hg": "mm[Hg]", "cmH2O": "cm[H2O]", "K/uL": "10*3/uL", "M/uL": "10*6/uL", "K/mm3": "10*3/uL", "x10E3/uL": "10*3/uL",
	"x10E6/uL": "10*6/uL", "10^3/uL": "10*3/uL", "10^6/uL": "10*6/uL", "10^9/L": "10*9/L", "10^12/L": "10*12/L", "10*9/l": "10*9/L", "G/l": "10*9/L",
	"T/l": "10*12/L", "IU/L": "[IU]/L", "IU/mL": "[IU]/mL", "mIU/L": "m[IU]/L", "mIU/mL": "m[IU]/mL", "uIU/mL": "u[IU]/mL", "µIU/mL": "u[IU]/mL",
	"°C": "Cel", "C": "Cel", "°F": "[degF]", "F": "[degF]", "bpm": "/min", "beats/min": "/min", "breaths/min": "/min", "/HPF": "/[HPF]", "/hpf": "/[HPF]",
	"lbs": "[lb_av]", "lb": "[lb_av]", "in": "[in_i]", "mm/hr": "mm/h", "sec": "s", "secs": "s", "hrs": "h", "yrs": "a", "years": "a", "days": "d",
	"mL/min/1.73m2": "mL/min/{1.73_m2}", "mOsm/kg": "mosm/kg", "ratio": "{ratio}", "index": "{index}", "score": "{score}",
}

// knownUnit reports whether s is UCUM or a spelling of it. A mere number is not taken for
// a unit, though UCUM allows it.
func knownUnit(s string) bool {
	return spellings[s] != "" || len(s) <= maxSpelling && !digitsOnly(s) && isUnit(s)
}
