package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Limits of what is taken at once.
const (
	MaxDocument  = 8 << 20
	maxResource  = 1 << 20 // bytes
	maxResources = 1000
	maxProblems  = 20 // that an error lists
)

// shape is what FHIR R4 requires of a type, as far as it is checked.
type shape struct {
	codes    map[string][]string // elements that are required, with their values
	required []string            // further ones
	patient  string              // the element that says whom it is about, if it is about somebody
	about    bool                // that element is required
}

// writable are the types that are sent, with the required elements and value sets of
// https://hl7.org/fhir/R4/communication.html, task.html, servicerequest.html,
// researchsubject.html and researchstudy.html.
var writable = map[string]shape{
	"Communication": {
		patient: "subject",
		codes:   map[string][]string{"status": words("preparation in-progress not-done on-hold stopped completed entered-in-error unknown")},
	},
	"Task": {
		patient: "for",
		codes: map[string][]string{
			"status": words("draft requested received accepted rejected ready cancelled in-progress on-hold failed completed entered-in-error"),
			"intent": words("unknown proposal plan order original-order reflex-order filler-order instance-order option"),
		},
	},
	"ServiceRequest": {
		patient: "subject", about: true,
		codes: map[string][]string{
			"status": words("draft active on-hold revoked completed entered-in-error unknown"),
			"intent": words("proposal plan directive order original-order reflex-order filler-order instance-order option"),
		},
	},
	"ResearchSubject": {
		patient: "individual", about: true, required: []string{"study"},
		codes: map[string][]string{"status": words("candidate eligible follow-up ineligible not-registered off-study on-study on-study-intervention on-study-observation pending-on-study potential-candidate screening withdrawn")},
	},
	"ResearchStudy": {
		codes: map[string][]string{"status": words("active administratively-completed approved closed-to-accrual closed-to-accrual-and-intervention completed disapproved in-review temporarily-closed-to-accrual temporarily-closed-to-accrual-and-intervention withdrawn")},
	},
}

func words(text string) []string { return strings.Fields(text) }

// Types are the types of resources that can be sent.
func Types() []string { return slices.Sorted(maps.Keys(writable)) }

// resource is a resource that was checked. It holds patient data.
type resource struct {
	kind    string
	content map[string]any
	patient string // id of whom it is about, empty for nobody
}

// read takes the resources of a document: one, lines of them, or a Bundle of type collection.
// The error is one problem that lists what is wrong, in this package's words.
func read(ctx context.Context, r io.Reader) ([]resource, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxDocument {
		return nil, problem.New(problem.TooLarge, "the document is over 8 MiB")
	}
	if err := standalone(text); err != nil {
		return nil, err
	}
	if err := onlyWritable(text); err != nil {
		return nil, err
	}
	var list []resource
	var faults []string
	for rec, err := range fhir.Read(ctx, bytes.NewReader(text), fhir.Options{MaxRecord: maxResource, MaxTotal: MaxDocument}) {
		var p *fhir.Problem
		switch {
		case errors.As(err, &p):
			faults = append(faults, p.Error())
			continue
		case err != nil:
			return nil, err
		case len(list) == maxResources:
			return nil, problem.New(problem.TooLarge, fmt.Sprintf("the document has over %d resources", maxResources))
		}
		one, err := check(rec.Type, rec.Raw)
		if err != nil {
			place := fmt.Sprintf("line %d", rec.Line)
			if rec.Path != "" {
				place += ", " + rec.Path
			}
			faults = append(faults, place+": "+err.Error())
		}
		list = append(list, one)
	}
	switch {
	case len(faults) > maxProblems:
		faults = append(faults[:maxProblems], fmt.Sprintf("and %d more", len(faults)-maxProblems))
		fallthrough
	case len(faults) > 0:
		return nil, problem.New(problem.Invalid, strings.Join(faults, "; "))
	case len(list) == 0:
		return nil, problem.New(problem.Invalid, "the document has no resource")
	}
	return list, nil
}

// standalone refuses a Bundle whose entries are to take effect together, or to do something
// else than to be created.
func standalone(text []byte) error {
	var head struct {
		Type string `json:"resourceType"`
		Kind string `json:"type"`
	}
	if json.Unmarshal(text, &head) == nil && head.Type == "Bundle" && head.Kind != "collection" {
		return problem.New(problem.Invalid, "a Bundle that is sent is of type collection: its resources are created one by one")
	}
	return nil
}

// onlyWritable refuses a document with a resource of a type that is never written, before
// anybody mends what else it lacks. What is malformed is left to [fhir.Read].
func onlyWritable(text []byte) error {
	type resource struct {
		Type string `json:"resourceType"`
	}
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		rest := bytes.TrimLeft(text[decoder.InputOffset():], " \t\r\n")
		line := 1 + bytes.Count(text[:len(text)-len(rest)], []byte("\n"))
		var one struct {
			resource
			Entry []struct{ Resource resource }
		}
		if decoder.Decode(&one) != nil {
			return nil
		}
		if one.Type != "Bundle" && !mayBeWritten(one.Type) {
			return problem.New(problem.Invalid, fmt.Sprintf("line %d: %s", line, onlyThese()))
		}
		for i, e := range one.Entry {
			if !mayBeWritten(e.Resource.Type) {
				return problem.New(problem.Invalid, fmt.Sprintf("line %d, entry[%d].resource: %s", line, i, onlyThese()))
			}
		}
	}
}

// mayBeWritten reports whether a type is one that is written, or missing, which is another
// fault.
func mayBeWritten(resourceType string) bool {
	_, is := writable[resourceType]
	return is || resourceType == ""
}

func onlyThese() string { return "only " + strings.Join(Types(), ", ") + " can be sent" }

// check returns a resource that may be sent. Its error names elements, never a value.
func check(resourceType string, text []byte) (resource, error) {
	form, is := writable[resourceType]
	if !is {
		return resource{}, errors.New(onlyThese())
	}
	r := resource{kind: resourceType}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // FHIR gives digits a meaning
	if decoder.Decode(&r.content) != nil {
		return resource{}, errors.New("is not the JSON of a resource")
	}
	for _, name := range slices.Sorted(maps.Keys(form.codes)) {
		code, _ := r.content[name].(string)
		if !slices.Contains(form.codes[name], code) {
			return resource{}, fmt.Errorf("%s.%s is required, one of %s", resourceType, name, strings.Join(form.codes[name], ", "))
		}
	}
	for _, name := range form.required {
		if !points(r.content[name]) {
			return resource{}, fmt.Errorf("%s.%s is required, a reference", resourceType, name)
		}
	}
	var err error
	if r.patient, err = form.subject(resourceType, r.content); err != nil {
		return resource{}, err
	}
	if dangles(r.content) {
		return resource{}, errors.New("a reference by urn: cannot be sent, as each resource is created by itself: refer by identifier")
	}
	if other, some := r.content["identifier"]; some {
		if _, list := other.([]any); !list {
			return resource{}, fmt.Errorf("%s.identifier is a list", resourceType)
		}
	}
	delete(r.content, "id") // the server gives it
	if meta, is := r.content["meta"].(map[string]any); is {
		delete(meta, "versionId")
		delete(meta, "lastUpdated")
	}
	return r, nil
}

// patientForm is how a resource names a patient by the id that the EHR gave.
var patientForm = regexp.MustCompile(`^Patient/([A-Za-z0-9.-]{1,64})$`)

// subject returns the id of the patient whom a resource is about.
func (s shape) subject(resourceType string, content map[string]any) (string, error) {
	if s.patient == "" || content[s.patient] == nil && !s.about {
		return "", nil
	}
	to, _ := content[s.patient].(map[string]any)
	text, _ := to["reference"].(string)
	m := patientForm.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s.%s must be a reference Patient/ID, with the id that the EHR gave", resourceType, s.patient)
	}
	return m[1], nil
}

// points reports whether v is a reference that says to what.
func points(v any) bool {
	to, _ := v.(map[string]any)
	text, _ := to["reference"].(string)
	id, _ := to["identifier"].(map[string]any)
	value, _ := id["value"].(string)
	return text != "" || value != ""
}

// dangles reports whether v has a reference that only a transaction could answer.
func dangles(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, dangles)
	case map[string]any:
		if text, is := v["reference"].(string); is && strings.HasPrefix(text, "urn:") {
			return true
		}
		for _, element := range v {
			if dangles(element) {
				return true
			}
		}
	}
	return false
}

// identify gives a resource an identifier of the node's, in the place of others that it may
// have of it.
func (r resource) identify(system, value string) {
	list, _ := r.content["identifier"].([]any)
	list = slices.DeleteFunc(list, func(v any) bool {
		one, _ := v.(map[string]any)
		return one["system"] == system
	})
	r.content["identifier"] = append(list, map[string]any{"system": system, "value": value})
}

// text is the resource as it is sent: elements by name, numbers as they were written.
func (r resource) text() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(r.content)
	return bytes.TrimSpace(b.Bytes()), err
}
