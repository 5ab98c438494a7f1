package cdshooks

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/canonical"
)

// maxBody is the size of a request in bytes. Nesting is bounded by package canonical.
const maxBody = 1 << 20

// request is a call of a service, as far as it is used. fhirServer, fhirAuthorization and
// extensions are not read.
type request struct {
	private

	Hook     string                     `json:"hook"`
	Instance string                     `json:"hookInstance"`
	Context  json.RawMessage            `json:"context"`
	Prefetch map[string]json.RawMessage `json:"prefetch"`
}

// hookContext is the context of both hooks.
type hookContext struct {
	private

	User       string          `json:"userId"`
	Patient    string          `json:"patientId"`
	Encounter  string          `json:"encounterId"`
	Selections []string        `json:"selections"`
	Drafts     json.RawMessage `json:"draftOrders"`
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// clinicians are the types of users who hear of trials, others those who only may ask.
var clinicians, others = []string{"Practitioner", "PractitionerRole"}, []string{"Patient", "RelatedPerson"}

// maxSelections bounds a list that is checked only.
const maxSelections = 500

// parse reads a call of a service. Its errors name elements and no values.
func (d description) parse(body []byte) (request, hookContext, error) {
	var r request
	var c hookContext
	if err := decode(body, &r); err != nil {
		return r, c, malformed("it is no JSON object of the right form")
	}
	if len(r.Context) > 0 && json.Unmarshal(r.Context, &c) != nil {
		return r, c, malformed("context")
	}
	switch {
	case r.Hook != d.Hook:
		return r, c, malformed("hook is not that of the service")
	case !uuidForm.MatchString(r.Instance):
		return r, c, malformed("hookInstance is no UUID")
	case !c.is(clinicians) && !c.is(others):
		return r, c, malformed("context.userId")
	case !fhir.IsResourceID(c.Patient):
		return r, c, malformed("context.patientId")
	case c.Encounter != "" && !fhir.IsResourceID(c.Encounter):
		return r, c, malformed("context.encounterId")
	case d.Hook == orderSelect && (len(c.Selections) == 0 || len(c.Selections) > maxSelections || slices.Contains(c.Selections, "")):
		return r, c, malformed("context.selections")
	case d.Hook == orderSelect && len(c.Drafts) == 0:
		return r, c, malformed("context.draftOrders")
	}
	return r, c, nil
}

// decode reads one JSON value of limited depth, without names that stand twice.
func decode(body []byte, out any) error {
	clean, err := canonical.Fields(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(clean, out)
}

// is reports whether the user is of one of some types.
func (c hookContext) is(types []string) bool {
	kind, id, _ := strings.Cut(c.User, "/")
	return slices.Contains(types, kind) && fhir.IsResourceID(id)
}

// patient is what is read of a Patient.
type patient struct {
	private

	Type   string `json:"resourceType"`
	ID     string `json:"id"`
	Birth  string `json:"birthDate"`
	Gender string `json:"gender"`
}

var birthForm = regexp.MustCompile(`^([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01]))?)?$`)

// known returns what the EHR says of the patient. It refuses another patient's data; where
// the EHR has to send the patient, also their absence.
func (r request) known(id string, required bool) (screen.Known, error) {
	var k screen.Known
	raw, given := r.Prefetch[prefetchPatient]
	var p patient
	if given && string(raw) != "null" && json.Unmarshal(raw, &p) != nil {
		return k, malformed("prefetch.patient")
	}
	switch {
	case p.Type == "Patient" && p.ID == id:
		if m := birthForm.FindStringSubmatch(p.Birth); m != nil {
			k.Year, _ = strconv.Atoi(m[1]) // digits, or nothing, which is 0
			k.Month, _ = strconv.Atoi(m[2])
			k.Day, _ = strconv.Atoi(m[3])
		}
		k.Gender = p.Gender
	case p.Type == "Patient" && p.ID != "":
		return k, malformed("prefetch.patient is another than context.patientId")
	case required:
		return k, errPatient
	}
	return k, nil
}
