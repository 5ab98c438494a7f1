package fhirapi

import "net/http"

// activities are what a Provenance says was done, of
// http://terminology.hl7.org/CodeSystem/v3-DataOperation.
var activities = map[string]string{http.MethodPost: "CREATE", http.MethodPut: "UPDATE", http.MethodDelete: "DELETE"}

// account adds the Provenance of what the work has changed, and the client's own if
// it sent one.
func (w *work) account(who writer) error {
	targets, activity := []any{}, ""
	for i, c := range w.wrote {
		targets = append(targets, map[string]any{"reference": c.location()})
		switch did := activities[c.method]; {
		case i == 0:
			activity = did
		case activity != did:
			activity = ""
		}
	}
	made := resource{
		"resourceType": "Provenance", "id": newID(), "target": targets, "recorded": w.now.Format(instant),
		"agent": []any{map[string]any{
			"type": concept("http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type", "transmitter"),
			"who":  map[string]any{"display": "API client " + who.name()},
		}},
	}
	if activity != "" {
		made["activity"] = concept("http://terminology.hl7.org/CodeSystem/v3-DataOperation", activity)
	}
	if err := w.provenance(made); err != nil || who.provenance == nil {
		return err
	}
	who.provenance["target"] = targets
	return w.provenance(who.provenance)
}

func (who writer) name() string {
	if who.client == "" {
		return "without a name"
	}
	return who.client
}

func concept(system, code string) map[string]any {
	return map[string]any{"coding": []any{map[string]any{"system": system, "code": code}}}
}

// provenance adds a Provenance, which is new.
func (w *work) provenance(r resource) error {
	text, err := r.content()
	if err != nil {
		return err
	}
	return w.put(&change{resourceType: "Provenance", id: r.text("id"), body: r}, 1, w.cfg.Store.Content(text))
}
