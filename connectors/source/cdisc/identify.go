package cdisc

import (
	"regexp"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// identify finds out of which domain and subject the row is.
func (c *converter) identify() *fhir.Problem {
	if problem := c.settle(); problem != nil {
		return problem
	}
	if c.maker() == nil {
		return nil
	}
	c.study, c.subject = c.get("STUDYID"), c.get("USUBJID")
	switch {
	case c.fault != nil:
		return c.fault
	case c.subject == "":
		return &fhir.Problem{Rule: RuleNoPatient, Line: c.line, Path: "USUBJID"}
	case c.study == "":
		return &fhir.Problem{Rule: RuleNoPatient, Line: c.line, Path: "STUDYID"}
	}
	c.patientID = fhir.Digest("Patient", c.study, c.subject)
	return nil
}

// settle finds out of which domain the row is.
func (c *converter) settle() *fhir.Problem {
	name, prefix := "DOMAIN", ""
	if c.has("QNAM") && c.has("RDOMAIN") {
		name, prefix = "RDOMAIN", "SUPP"
	}
	if c.has(name) {
		letters := c.get(name)
		switch {
		case c.fault != nil:
			return c.fault
		case letters == "" && c.has("USUBJID") && c.get("USUBJID") == "":
			return &fhir.Problem{Rule: RuleNoPatient, Line: c.line, Path: "USUBJID"}
		case !domainName.MatchString(letters):
			return &fhir.Problem{Rule: RuleWrongDomain, Line: c.line, Path: name, Detail: "want the two letters of a domain"}
		case c.own != nil && c.domain == prefix+letters:
			return nil
		}
		c.domain = prefix + letters
	}
	if c.own == nil || c.has(name) {
		c.own = map[string]int{}
		for column, i := range c.at {
			if rest, ok := strings.CutPrefix(column, c.domain); ok && len(c.domain) == 2 {
				c.own[rest] = i
			}
		}
	}
	return nil
}

// guess is the name of the data set as far as its variables tell it; a row's DOMAIN stands
// over it.
func (c *converter) guess() string {
	switch {
	case c.has("RDOMAIN") && c.has("QNAM"):
		return "SUPP"
	case c.has("RDOMAIN"):
		return "RELREC"
	case c.has("DOMAIN"):
		return ""
	case c.has("USUBJID") && c.has("SUBJID") && !c.has("PARAMCD") && (c.table.name == "ADSL" || !setName.MatchString(c.table.name) && !c.numbered()):
		return "ADSL"
	case setName.MatchString(c.table.name):
		return c.table.name
	}
	return "ADAM"
}

// numbered reports whether the rows have sequence numbers, as those of events have in
// ADaM.
func (c *converter) numbered() bool {
	for name := range c.at {
		if isNumber(name) {
			return true
		}
	}
	return false
}

// isNumber reports whether a variable is a sequence number, such as AESEQ.
func isNumber(variable string) bool { return strings.HasSuffix(variable, "SEQ") }

var (
	setName    = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,7}$`)
	domainName = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,3}$`) // four in data sets on associated persons
)
