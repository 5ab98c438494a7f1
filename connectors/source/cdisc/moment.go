package cdisc

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// time is the value of a date variable, such as RFSTDTC.
func (c *converter) time(name string) fhir.Time { return c.moment(c.get(name), name) }

// timeOf is the value of a date variable of the domain: timeOf("DTC").
func (c *converter) timeOf(name string) fhir.Time { return c.moment(c.of(name), c.domain+name) }

func (c *converter) moment(s, name string) fhir.Time {
	if s == "" {
		return fhir.Time{}
	}
	t, ok := parseDTC(s)
	if !ok {
		c.fail(name, fhir.RuleInvalidTime, "want ISO 8601, cut off where more is not known, with a year")
	}
	return t
}

// numericTime is the value of a numeric date of ADaM.
func (c *converter) numericTime(name string) fhir.Time {
	s := c.get(name)
	if s == "" {
		return fhir.Time{}
	}
	t, ok := parseSASDate(s)
	if !ok {
		c.fail(name, fhir.RuleInvalidTime, "want whole days since 1 January 1960")
	}
	return t
}

// needs says why there is no record if it has no time: a study day alone is no date, as the
// day from which it counts is in DM. SDTM has no study day 0, but some CSV files have it for
// a missing one.
func (c *converter) needs(t fhir.Time, date, day string) {
	switch {
	case !t.IsZero() || c.fault != nil:
	case c.of(day) != "" && canonical(c.of(day)) != "0":
		c.fail(c.domain+day, RuleStudyDayOnly, "a study day alone is no date; "+c.domain+date+" has to be filled in from RFSTDTC of DM")
	default:
		c.fail(c.domain+date, fhir.RuleMissingField, "a record needs its date")
	}
}

// firstOf is the first time that was said.
func firstOf(times ...fhir.Time) fhir.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return fhir.Time{}
}
