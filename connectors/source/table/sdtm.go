package table

import (
	"fmt"
	"slices"
	"strings"
)

// sdtmRoles are what the variables of a domain are for, the surest first. Their names begin
// with the domain's two letters. The start comes before the date of collection, on which an
// event was only noted.
//
// Source: CDISC, Study Data Tabulation Model 2.0, sections 3.1 and 3.2.
var sdtmRoles = map[role][]string{
	roleText: {"TEST"}, roleTime: {"STDTC", "DTC"}, roleStart: {"STDTC", "DTC"}, roleEnd: {"ENDTC"}, roleFlag: {"NRIND"},
	roleDose: {"DOSE"}, roleRoute: {"ROUTE"},
}

// sdtmKinds are what a row of a domain is; those with a test are observations.
var sdtmKinds = map[string]string{"AE": "condition", "MH": "condition", "CM": "medication", "EX": "medication", "PR": "procedure"}

// domain is the two letters of the SDTM domain that the table is of, empty if it is of none.
func (s *sample) domain() string {
	if s.plain("USUBJID") == nil {
		return ""
	}
	for _, p := range s.columns {
		if letters, ok := strings.CutSuffix(p.plain, "SEQ"); ok && len(letters) == 2 {
			return letters
		}
		if letters, ok := strings.CutSuffix(p.plain, "TESTCD"); ok && len(letters) == 2 {
			return letters
		}
	}
	return ""
}

// plain is the column whose name has these letters and digits, nil for none.
func (s *sample) plain(name string) *profile {
	if i := slices.IndexFunc(s.columns, func(p *profile) bool { return p.plain == name }); i >= 0 {
		return s.columns[i]
	}
	return nil
}

// decideDomain finds the columns of a table of SDTM, which are known by their names.
func (d *draft) decideDomain() {
	letters := d.domain()
	if letters == "" {
		return
	}
	d.found[rolePatient] = d.plain("USUBJID")
	for r, names := range sdtmRoles {
		for _, name := range names {
			if p := d.plain(letters + name); p != nil && p.n > 0 && d.found[r] == nil && (!strings.HasSuffix(name, "DTC") || p.share(p.dates()+p.wholes) > 0.7) {
				d.found[r] = p
			}
		}
	}
	if start := d.found[roleStart]; start != nil && start.n < d.rows && start.plain == letters+"STDTC" {
		d.open(start, "it is empty in some rows, which make no record; "+letters+"DTC is when they were noted, not when it began")
	}
	if code := d.plain(letters + "TESTCD"); code != nil {
		d.found[roleCode] = code
		d.decideResult(letters)
		return
	}
	if sdtmKinds[letters] != "" {
		d.decideTerm(letters)
		d.found[roleUnit] = d.plain(letters + "DOSU")
	}
}

// decideResult finds the one value of a test: the standardized number with its unit. Results
// that are words have none, so the standardized text stands in for it, which repeats the
// numbers.
func (d *draft) decideResult(letters string) {
	number, text := d.plain(letters+"STRESN"), d.plain(letters+"STRESC")
	standard := number
	if text != nil && text.n > 0 && (number == nil || number.n == 0 || text.numbers() < text.n) {
		standard = text
	}
	unit, low, high := "STRESU", "STNRLO", "STNRHI"
	if standard == nil || standard.n == 0 {
		standard, unit, low, high = d.plain(letters+"ORRES"), "ORRESU", "ORNRLO", "ORNRHI"
	}
	if standard != nil && standard == text && number != nil && number.n > 0 {
		d.open(text, "it has results in words as well; with "+number.name+" only numbers are read")
	}
	d.found[roleValue], d.found[roleUnit] = standard, d.plain(letters+unit)
	d.found[roleLow], d.found[roleHigh] = d.plain(letters+low), d.plain(letters+high)
}

// decideTerm takes the dictionary's term for the code if most rows have one, else the words
// of the report, TERM of an event and TRT of a treatment.
func (d *draft) decideTerm(letters string) {
	term, coded := d.plain(letters+"TERM"), d.plain(letters+"DECOD")
	if term == nil {
		term = d.plain(letters + "TRT")
	}
	switch {
	case coded == nil || term != nil && coded.n*5 < term.n*4:
		d.found[roleCode] = term
	default:
		d.found[roleCode], d.found[roleText] = coded, term
		if term != nil && coded.n < d.rows {
			d.open(coded, "it is empty in some rows, which make no record; "+term.name+" has the words of the report")
		}
	}
}

// open notes what a person must decide about a column, and keeps it for the proposal.
func (d *draft) open(p *profile, text string) {
	d.note(p.name, text)
	d.opened = append(d.opened, fmt.Sprintf("%s: %s", p.name, text))
}
