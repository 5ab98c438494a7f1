package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// Merge says that two patients, or two visits, are the same: what is stored of Retired
// belongs to Survivor from now on. Both are references to records of one type, Patient
// or Encounter. The record that holds it has Type "Merge".
type Merge struct {
	private

	ID                string
	Survivor, Retired fhir.Reference
}

// EachReference implements [fhir.Resource]. It visits the survivor only, as the
// retired record need not have been sent.
func (m *Merge) EachReference(visit func(string, *fhir.Reference)) {
	if !m.Survivor.IsZero() {
		visit("survivor", &m.Survivor)
	}
}

// patientMerges and visitMerges are the trigger events whose MRG names what is
// replaced: merges proper, and corrections of an identifier (A46, A47, A50, A51), which
// come to the same. Events that move part of a patient's data to another (A43, A44,
// A45) or merge accounts (A35, A41, A49) are kept raw.
var (
	patientMerges = map[string]bool{
		"A18": true, "A30": true, "A34": true, "A36": true, "A39": true, "A40": true, "A46": true, "A47": true, "A51": true,
	}
	visitMerges = map[string]bool{"A42": true, "A50": true}
)

func (c *converter) mergeEvent() bool {
	return c.kind == "ADT" && (patientMerges[c.event] || visitMerges[c.event])
}

// mrg reads what the PID or PV1 around it replaces.
func (c *converter) mrg(s *segment) {
	if c.kind != "ADT" {
		return
	}
	switch {
	case patientMerges[c.event]:
		retired := c.patientID(s.field(1))
		if retired == "" {
			retired = c.patientID(s.field(4)) // MRG-4, prior patient id, before 2.7
		}
		c.merge(s, c.patient, fhir.To("Patient", retired), 1)
	case visitMerges[c.event]:
		survivor := fhir.Reference{}
		if pv1 := c.after(s, "PV1"); pv1 != nil {
			survivor = fhir.To("Encounter", c.assigned("Encounter", pv1.field(19)))
		}
		c.merge(s, survivor, fhir.To("Encounter", c.assigned("Encounter", s.field(5))), 5)
	default:
		c.keep("Move", s, fhir.Digest("Move", c.facility, c.control, placeOf(s.name, s.number)), c.msg.raw)
	}
}

func (c *converter) merge(s *segment, survivor, retired fhir.Reference, n int) {
	switch {
	case retired.IsZero():
		c.problem(fhir.RuleMissingField, s, n, "want the identifier that is replaced")
	case survivor.IsZero():
		c.problem(RuleNoPatient, s, 0, "want the identifier that survives, in PID-3 or PV1-19")
	case survivor.ID == retired.ID:
		return // an identifier list that changed without changing who it names
	}
	id := fhir.Digest("Merge", survivor.Type, retired.ID, survivor.ID)
	c.give("Merge", s, id, &Merge{ID: id, Survivor: survivor, Retired: retired})
}
