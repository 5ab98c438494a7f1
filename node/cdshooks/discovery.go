package cdshooks

import (
	"encoding/json"
	"net/http"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// The hooks that are served.
const (
	patientView = "patient-view"
	orderSelect = "order-select"
)

// The ids of the services.
const (
	PatientView = "trialmesh-patient-view"
	OrderSelect = "trialmesh-order-select"
)

// description is a service as the discovery document has it.
type description struct {
	Hook        string            `json:"hook"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	ID          string            `json:"id"`
	Prefetch    map[string]string `json:"prefetch"`
	Usage       string            `json:"usageRequirements"`
}

// prefetchPatient is the key of the one prefetch template.
const prefetchPatient = "patient"

var services = []description{
	{
		Hook: patientView, ID: PatientView, Title: "Trials for the patient in view",
		Description: "Tells when the patient may be eligible for a trial of this site, by what the site has on record.",
		Prefetch:    map[string]string{prefetchPatient: "Patient/{{context.patientId}}"},
		Usage:       usage,
	},
	{
		Hook: orderSelect, ID: OrderSelect, Title: "Trials for the patient, with the orders in draft",
		Description: "Tells when the patient may be eligible for a trial of this site, by what the site has on record and by the orders in draft.",
		Prefetch:    map[string]string{prefetchPatient: "Patient/{{context.patientId}}"},
		Usage:       usage,
	},
}

const usage = "Calls are signed by an EHR that is registered at the node. The FHIR server of a call is not used. " +
	"Patients are known by the ids under which the node has loaded them."

// serviceOf returns the service with an id.
func serviceOf(id string) (description, error) {
	for _, d := range services {
		if d.ID == id {
			return d, nil
		}
	}
	return description{}, errService
}

// discover answers with the services.
func (s *service) discover(w http.ResponseWriter, r *http.Request) error {
	now := s.cfg.Now()
	token, err := s.cfg.Clients.Verify(r.Context(), r.Header.Get("Authorization"), s.cfg.URL+Path, now)
	if err != nil {
		return err
	}
	if err := s.cfg.DB.Write(r.Context(), func(tx *sqldb.Tx) error { return token.redeem(r.Context(), tx, now) }); err != nil {
		return err
	}
	return answer(w, map[string]any{"services": services})
}

// answer writes a document.
func answer(w http.ResponseWriter, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) //nolint:gosec // JSON is no page, and nobody is left to tell if the client is gone
	return nil
}
