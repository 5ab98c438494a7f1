package cdisc

import (
	"math"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// patient makes the Patient of a row of DM or ADSL.
func (c *converter) patient() fhir.Resource {
	p := &fhir.Patient{
		Gender:    sexes[c.get("SEX")],
		BirthDate: firstOf(c.time("BRTHDTC"), c.numericTime("BRTHDT")),
		Died:      firstOf(c.time("DTHDTC"), c.numericTime("DTHDT")),
	}
	if p.BirthDate.IsZero() {
		p.BirthDate = c.estimate()
	}
	if p.Died.IsZero() && c.get("DTHFL") == "Y" {
		dead := true
		p.Deceased = &dead
	}
	p.Race, p.RaceText = category(races, c.get("RACE"))
	p.Ethnicity, p.EthnicityText = category(ethnicities, c.get("ETHNIC"))
	return p
}

// daysPer are the days of a unit of AGEU.
var daysPer = map[string]float64{
	"YEARS": 365.25, "MONTHS": 365.25 / 12, "WEEKS": 7, "DAYS": 1, "HOURS": 1.0 / 24, "DECADES": 3652.5,
}

// maxAge bounds an age, in days: 150 years.
const maxAge = 150 * 365.25

// estimate is the year of birth that AGE and AGEU make likely, zero if they do not say. Who
// is 63 on the reference day was born in the 365 days that end 63 years before it, of which
// the middle one counts: the year is wrong by one at most, and right for half of all at least.
//
// The reference day is that of the first treatment (RFSTDTC, in ADSL TRTSDT), to which AGE
// refers if the sponsor does not say otherwise, else the first of consent (RFICDTC) and
// collection (DMDTC) that is known, as in those who were not treated.
func (c *converter) estimate() fhir.Time {
	at := firstOf(c.time("RFSTDTC"), c.numericTime("TRTSDT"), c.time("RFICDTC"), c.time("DMDTC"))
	age, err := strconv.ParseFloat(c.get("AGE"), 64)
	unit, known := daysPer[c.get("AGEU")]
	days := (age + 0.5) * unit
	if err != nil || !known || at.IsZero() || math.IsNaN(days) || days < 0 || days > maxAge {
		return fhir.Time{}
	}
	born := at.At.AddDate(0, 0, -int(math.Round(days)))
	if born.Year() < 1 {
		return fhir.Time{}
	}
	year, _ := parseDTC(born.Format("2006"))
	return year
}

// sexes are FHIR's administrative genders of CDISC's codelist Sex (C66731).
var sexes = map[string]string{"M": "male", "F": "female", "U": "unknown", "UNDIFFERENTIATED": "other", "INTERSEX": "other"}

// races and ethnicities are the OMB categories of US Core, by the terms of CDISC's codelists
// Race (C74457) and Ethnic Group (C66790). Of MULTIPLE, UNKNOWN and NOT REPORTED only the
// text is kept; the races of MULTIPLE are in SUPPDM, in rows of their own.
//
// Source: https://www.hl7.org/fhir/us/core, ValueSet omb-race-category and
// omb-ethnicity-category; CDISC SDTM Controlled Terminology.
var (
	races = map[string]string{
		"AMERICAN INDIAN OR ALASKA NATIVE":          "1002-5",
		"ASIAN":                                     "2028-9",
		"BLACK OR AFRICAN AMERICAN":                 "2054-5",
		"NATIVE HAWAIIAN OR OTHER PACIFIC ISLANDER": "2076-8",
		"WHITE": "2106-3",
		"OTHER": "2131-1",
	}
	ethnicities = map[string]string{"HISPANIC OR LATINO": "2135-2", "NOT HISPANIC OR LATINO": "2186-5"}
)

// category is the category of a term, and the term.
func category(categories map[string]string, term string) ([]fhir.Coding, string) {
	code, known := categories[term]
	if !known {
		return nil, term
	}
	return []fhir.Coding{{System: raceSystem, Code: code, Display: term}}, term
}
