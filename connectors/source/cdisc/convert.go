package cdisc

import (
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// converter turns one row after another into records.
type converter struct {
	table  table
	at     map[string]int // where a variable stands
	domain string         // of the last row, such as LB; SUPPAE, RELREC, ADSL of those without one
	own    map[string]int // where the domain's variables stand, by their names without its two letters
	units  units

	// Of the row.
	line, number   int
	cells          []string
	study, subject string
	patientID      string        // empty in data sets that are counted only
	fault          *fhir.Problem // of the record being made; the first one counts
}

// begin takes a data set.
func (c *converter) begin(t table) {
	c.table, c.at, c.own = t, make(map[string]int, len(t.columns)), nil
	for i, name := range t.columns {
		c.at[name] = i
	}
	c.domain = c.guess()
}

// has reports whether the data set has a variable.
func (c *converter) has(name string) bool {
	_, ok := c.at[name]
	return ok
}

// start takes a row.
func (c *converter) start(line, number int, cells []string) {
	c.line, c.number, c.cells, c.fault = line, number, cells, nil
	c.study, c.subject, c.patientID = "", "", ""
}

// get is the value of a variable, empty if it is missing or the data set does not have it.
func (c *converter) get(name string) string { return c.value(c.at, name, name) }

// of is the value of a variable of the domain: of("DTC") that of LBDTC in LB.
func (c *converter) of(name string) string { return c.value(c.own, name, "") }

func (c *converter) value(at map[string]int, name, shown string) string {
	i, ok := at[name]
	if !ok {
		return ""
	}
	s, rule := textOf(c.cells[i])
	if rule != "" {
		if shown == "" {
			shown = c.domain + name
		}
		c.fail(shown, rule, "the bytes are neither UTF-8 nor Windows-1252 text")
	}
	return s
}

// fail notes why the record cannot be made.
func (c *converter) fail(name string, rule fhir.Rule, detail string) {
	if c.fault == nil {
		c.fault = &fhir.Problem{Rule: rule, Line: c.line, Path: name, Detail: detail}
	}
}

// key tells the row from all others of the file, with the names of the variables that make
// it.
func (c *converter) key() (key, names string) {
	switch {
	case c.domain == "DM" || c.domain == "ADSL":
		return joined(c.domain, c.study, c.subject), "USUBJID"
	case c.domain == "SV" && c.has("VISITNUM"):
		return joined(c.domain, c.study, c.subject, canonical(c.get("VISITNUM"))), "USUBJID, VISITNUM"
	case c.patientID != "" && c.of("SEQ") != "":
		return joined(c.domain, c.study, c.subject, canonical(c.of("SEQ"))), "USUBJID, " + c.domain + "SEQ"
	}
	return joined(append([]string{c.domain}, c.cells...)...), ""
}

// canonical is a number as all containers write it: 1 for 1.0. Other texts stay.
func canonical(s string) string {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return decimal(v)
	}
	return s
}

// convert makes the record of the row.
func (c *converter) convert() (fhir.Record, *fhir.Problem) {
	rec := fhir.Record{Type: c.domain, Line: c.line, Path: c.domain + " row " + strconv.Itoa(c.number)}
	from := c.maker()
	if from == nil {
		return rec, nil
	}
	made := from(c)
	switch {
	case c.fault != nil:
		return fhir.Record{}, c.fault
	case made == nil:
		return rec, nil
	}
	rec.Type, rec.ID = c.name(made)
	rec.Resource = made
	return rec, nil
}

// maker is what makes the records of the domain, nil for one that is counted only.
func (c *converter) maker() func(*converter) fhir.Resource {
	if !c.has("USUBJID") {
		return nil
	}
	switch c.domain {
	case "DM", "ADSL":
		return (*converter).patient
	case "SV":
		return (*converter).encounter
	case "AE", "MH", "CE":
		return (*converter).condition
	case "CM", "EX":
		return (*converter).medication
	case "PR":
		return (*converter).procedure
	case "DS":
		return (*converter).disposition
	case "SU":
		return (*converter).substance
	}
	if _, ok := c.own["TESTCD"]; ok {
		return (*converter).finding
	}
	return nil
}

// name gives a resource its id and returns that with its type. An event's is made of study,
// subject, domain and sequence number; without a number, of all values.
func (c *converter) name(made fhir.Resource) (kind, id string) {
	of := func(kind string) string {
		key, _ := c.key()
		return fhir.Digest(kind, "cdisc", key)
	}
	switch r := made.(type) {
	case *fhir.Patient:
		kind, r.ID = "Patient", c.patientID
		return kind, r.ID
	case *fhir.Encounter:
		kind, r.ID = "Encounter", c.visitID()
		if r.ID == "" {
			r.ID = of(kind)
		}
		return kind, r.ID
	case *fhir.Condition:
		kind = "Condition"
		r.ID = of(kind)
		return kind, r.ID
	case *fhir.MedicationRequest:
		kind = "MedicationRequest"
		r.ID = of(kind)
		return kind, r.ID
	case *fhir.Procedure:
		kind = "Procedure"
		r.ID = of(kind)
		return kind, r.ID
	case *fhir.Observation:
		kind = "Observation"
		r.ID = of(kind)
		return kind, r.ID
	}
	return "", ""
}

// who refers to the row's subject.
func (c *converter) who() fhir.Reference { return fhir.To("Patient", c.patientID) }

// visitID is the id of the visit that VISITNUM names, empty for none.
func (c *converter) visitID() string {
	if number := c.get("VISITNUM"); number != "" {
		return fhir.Digest("Encounter", c.study, c.subject, canonical(number))
	}
	return ""
}

// visit refers to the visit of the row.
func (c *converter) visit() fhir.Reference {
	if id := c.visitID(); id != "" {
		return fhir.To("Encounter", id)
	}
	return fhir.Reference{}
}
