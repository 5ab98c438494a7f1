package cdisc

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// units finds the UCUM codes of units, and remembers them.
type units map[string]string

// maxUnits is how many spellings are remembered.
const maxUnits = 10_000

// set gives a quantity its unit: as it was written, and its UCUM code if it has one.
func (u *units) set(q *fhir.Quantity, written string) {
	q.Unit = written
	if written == "" {
		return
	}
	code, known := (*u)[written]
	if !known {
		code = ucumOf(written)
		if *u == nil {
			*u = units{}
		}
		if len(*u) < maxUnits {
			(*u)[written] = code
		}
	}
	if code != "" {
		q.System, q.Code = ucumSystem, code
	}
}

// ucumOf is the UCUM code of a unit of CDISC's codelist Unit (C71620) or its vital signs
// subset, empty if there is none. Terms that UCUM has as well mean the same there, except
// those in the table: C is coulomb in UCUM, and F farad.
func ucumOf(term string) string {
	if code, ok := unitCodes[term]; ok {
		return code
	}
	if _, err := ucum.Parse(term); err == nil {
		return term
	}
	return ""
}

// unitCodes are the UCUM codes of CDISC's terms that UCUM writes otherwise, and of spellings
// that come in their place.
//
// Source: CDISC SDTM Controlled Terminology, codelists Unit (C71620) and Units for Vital
// Signs Results (C66770), by their definitions; https://ucum.org/ucum, tables 1 to 20.
// TestUnitsAreUCUM holds every code here to the grammar.
var unitCodes = map[string]string{
	"C": "Cel", "F": "[degF]", "K": "K",
	"beats/min": "/min", "BEATS/MIN": "/min", "bpm": "/min", "breaths/min": "/min", "BREATHS/MIN": "/min",
	"mmHg": "mm[Hg]", "cmHg": "cm[Hg]", "cmH2O": "cm[H2O]",
	"in": "[in_i]", "IN": "[in_i]", "ft": "[ft_i]", "LB": "[lb_av]", "lb": "[lb_av]", "oz": "[oz_av]", "kg/m2": "kg/m2",
	"sec": "s", "msec": "ms", "DAYS": "d", "HOURS": "h", "WEEKS": "wk", "MONTHS": "mo", "YEARS": "a", "min": "min",
	"10^9/L": "10*9/L", "10^12/L": "10*12/L", "10^6/L": "10*6/L", "10^3/uL": "10*3/uL", "10^6/uL": "10*6/uL", "10^3/mL": "10*3/mL",
	"GI/L": "10*9/L", "TI/L": "10*12/L", "/HPF": "/[HPF]", "/LPF": "/[LPF]",
	"IU/L": "[IU]/L", "IU/mL": "[IU]/mL", "mIU/L": "m[IU]/L", "mIU/mL": "m[IU]/mL", "uIU/mL": "u[IU]/mL", "kIU/L": "k[IU]/L",
	"mEq/L": "meq/L", "mEq": "meq", "mOsm/kg": "mosm/kg", "mOsm": "mosm", "PERCENT": "%", "fraction of 1": "1", "RATIO": "1",
	"mcg": "ug", "mcg/mL": "ug/mL", "ugm/mL": "ug/mL", "cc": "mL", "mL/min/1.73m2": "mL/min/{1.73_m2}", "IU": "[IU]",
}
