package mapping

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
)

// Who gives care, and where. A Practitioner alone says nothing that is kept: a
// PractitionerRole makes the provider's row, under the name of the Practitioner, as the CDM
// has one specialty for each, and under its own, as records may refer to either. Of several
// roles the last counts. A Location or an Organization is a care site, and a location if it
// says in which region it is.
//
// Source: HL7 Vulcan, FHIR to OMOP 1.0.0, logical models Provider and CareSite.

// practitionerRole maps a PractitionerRole to provider.
func (m *mapping) practitionerRole(p *fhir.PractitionerRole) {
	row := omop.Provider{Record: omop.Record{Pointer: m.pointer()}}
	for _, s := range p.Specialty {
		if s.IsZero() {
			continue
		}
		of := m.code(SpecialtyPart, s)
		row.SpecialtyConceptID, row.SpecialtySource, row.SpecialtySourceConceptID = conceptOf(of), of.source, of.sourceID
		break
	}
	row.CareSite = placeKey(p.Location, p.Organization)
	if by, ok := target(p.Practitioner, "Practitioner"); ok {
		row.Key = by
		m.batch.Providers = append(m.batch.Providers, row)
	}
	row.Key = key("PractitionerRole", m.record.ID)
	m.batch.Providers = append(m.batch.Providers, row)
}

// careSite maps a Location or an Organization to care_site and location.
func (m *mapping) careSite(p *fhir.Place) {
	name := key(m.record.Type, m.record.ID)
	row := omop.CareSite{Record: omop.Record{Key: name, Pointer: m.pointer()}}
	for _, t := range p.Type {
		if t.IsZero() {
			continue
		}
		of := m.code(PlacePart, t)
		row.PlaceConceptID, row.PlaceSource = conceptOf(of), of.source
		break
	}
	if p.State != "" || p.Country != "" {
		row.Location = name
		m.batch.Locations = append(m.batch.Locations, omop.Location{
			Record: omop.Record{Key: name, Pointer: m.pointer()}, State: p.State, CountrySource: p.Country,
		})
	}
	m.batch.CareSites = append(m.batch.CareSites, row)
}

// conceptOf is the standard concept of a code that was sent, 0 if there is none.
func conceptOf(c code) *int {
	id := int(c.first())
	return &id
}

// providerKey is the key of the first who gave the care, no key if it was nobody who has one.
func providerKey(by ...fhir.Reference) omop.Key {
	for _, r := range by {
		if k, ok := target(r, "Practitioner"); ok {
			return k
		}
		if k, ok := target(r, "PractitionerRole"); ok {
			return k
		}
	}
	return omop.Key{}
}

// placeKey is the key of where care is given: a location, else an organization.
func placeKey(locations []fhir.Reference, organization fhir.Reference) omop.Key {
	for _, l := range locations {
		if k, ok := target(l, "Location"); ok {
			return k
		}
	}
	k, _ := target(organization, "Organization")
	return k
}
