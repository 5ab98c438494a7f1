package cdshooks

import (
	"context"
	"encoding/json"

	"github.com/trialmesh/trialmesh/localstore/vocab"
)

// Limits of draft orders.
const (
	maxOrders  = 200
	maxCodings = 500 // of all of them
)

// bundle is what is read of draft orders.
type bundle struct {
	private

	Type  string `json:"resourceType"`
	Entry []struct {
		Resource order `json:"resource"`
	} `json:"entry"`
}

// order is what is read of one, of FHIR DSTU2 to R5: what is ordered, and for whom.
type order struct {
	Subject    reference       `json:"subject"`
	Patient    reference       `json:"patient"` // of DSTU2 and some types
	Code       json.RawMessage `json:"code"`
	Medication *concept        `json:"medicationCodeableConcept"`
	R5         *struct {
		Concept *concept `json:"concept"`
	} `json:"medication"`
	Device *concept `json:"codeCodeableConcept"`
}

type reference struct {
	Reference string `json:"reference"`
}

type concept struct {
	Coding []struct {
		System string `json:"system"`
		Code   string `json:"code"`
	} `json:"coding"`
}

// drafts returns the concepts of the orders of a patient. Why something is ordered is not
// read: a reason may be what the order is to rule out.
func (s *service) drafts(ctx context.Context, raw json.RawMessage, patientID string) ([]vocab.Concept, error) {
	var b bundle
	if json.Unmarshal(raw, &b) != nil || b.Type != "Bundle" {
		return nil, malformed("context.draftOrders is no Bundle of orders")
	}
	if len(b.Entry) > maxOrders {
		return nil, malformed("context.draftOrders has too many entries")
	}
	var found []vocab.Concept
	codings := 0
	for _, e := range b.Entry {
		if !e.Resource.of(patientID) {
			continue
		}
		for _, c := range e.Resource.codes() {
			if codings += len(c.Coding); codings > maxCodings {
				return nil, malformed("context.draftOrders has too many codings")
			}
			for _, coding := range c.Coding {
				concepts, err := s.cfg.Codes(ctx, coding.System, coding.Code)
				if err != nil {
					return nil, err
				}
				found = append(found, concepts...)
			}
		}
	}
	return found, nil
}

// of reports whether the order is the patient's; one that says nothing is, being in the
// patient's session.
func (o order) of(patientID string) bool {
	for _, r := range []reference{o.Subject, o.Patient} {
		if r.Reference != "" && r.Reference != "Patient/"+patientID {
			return false
		}
	}
	return true
}

// codes are what is ordered.
func (o order) codes() []concept {
	var list []concept
	var code concept
	// R5's ServiceRequest has its code a level deeper.
	var deeper struct {
		Concept *concept `json:"concept"`
	}
	if len(o.Code) > 0 && json.Unmarshal(o.Code, &code) == nil {
		list = append(list, code)
	}
	if len(o.Code) > 0 && json.Unmarshal(o.Code, &deeper) == nil && deeper.Concept != nil {
		list = append(list, *deeper.Concept)
	}
	for _, c := range []*concept{o.Medication, o.Device} {
		if c != nil {
			list = append(list, *c)
		}
	}
	if o.R5 != nil && o.R5.Concept != nil {
		list = append(list, *o.R5.Concept)
	}
	return list
}
