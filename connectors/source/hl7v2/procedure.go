package hl7v2

import (
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// pr1 reads a procedure. PR1 does not say whether it was completed, and the v2-to-FHIR
// guide leaves that to the message's context, so the status is unknown.
func (c *converter) pr1(s *segment) {
	if !c.belongs(s) {
		return
	}
	p := &fhir.Procedure{
		Status:    "unknown",
		Category:  concept(s.field(6)),
		Code:      withText(concept(s.field(3)), s.field(4).text()),
		Subject:   c.patient,
		Encounter: c.visit,
	}
	p.Performed, p.During = lasting(c.time(s, 5), s.field(7).text())
	if p.Code.IsZero() {
		c.problem(fhir.RuleMissingField, s, 3, "want a code or a text")
	}
	if reason := concept(s.field(15)); !reason.IsZero() {
		p.Reason = append(p.Reason, reason)
	}
	if actionDeletes(s.field(20).text()) {
		p.Status = "entered-in-error"
	}
	if by, number := c.entity(s.field(19)); number != "" {
		p.ID = fhir.Digest("Procedure", by, number)
	} else {
		p.ID = fhir.Digest("Procedure", "", c.patient.ID, c.visit.ID, codeKey(p.Code), c.when(c.timeOf(s.field(5))))
	}
	c.give("Procedure", s, p.ID, p)
}

// lasting is a time, or a period if the minutes that it lasted were sent and it began at
// a known minute.
func lasting(start fhir.Time, minutes string) (fhir.Time, fhir.Period) {
	n, err := strconv.Atoi(minutes)
	if err != nil || n <= 0 || n > maxMinutes || start.Precision < fhir.PrecisionMinute {
		return start, fhir.Period{}
	}
	end := start
	end.At = start.At.Add(time.Duration(n) * time.Minute)
	end.Text = end.At.Format(time.RFC3339Nano)
	return fhir.Time{}, fhir.Period{Start: start, End: end}
}

// maxMinutes bounds how long a procedure lasts: a week.
const maxMinutes = 7 * 24 * 60
