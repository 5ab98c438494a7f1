package table

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// named is the id of the patient or visit that has a number. Without an authority the
// number is the id of a FHIR resource; ok is false if it cannot be one.
func (m *Mapping) named(resource, number string) (id string, ok bool) {
	if m.authority != "" {
		return fhir.Digest(resource, m.authority, number), true
	}
	return number, fhir.IsResourceID(number)
}
