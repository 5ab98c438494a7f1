// Package notice writes the FHIR R4 resources by which a node tells an EHR of a trial.
//
// [Eligibility] and [Enrollment] are what there is to tell; their drafts go to package outbox,
// which sends them. They are made of [Communication], [Task], [ServiceRequest],
// [ResearchStudy] and [ResearchSubject], which have the elements of R4 that are used and no
// others: outbox checks what R4 requires of them.
//
// The resources hold patient data: they print as a redaction and do not marshal; [JSON] is
// what writes them. Times are written with the offset that they have.
package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Coding is a code of a code system.
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// Concept is what codings, or only a text, say about one thing.
type Concept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// IsZero reports whether c says nothing.
func (c Concept) IsZero() bool { return len(c.Coding) == 0 && c.Text == "" }

// Identifier is a name in the business of whoever gave it.
type Identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value,omitempty"`
}

// Reference points to a resource by the id that the EHR gave it, such as Patient/17, or by an
// identifier, with its type.
type Reference struct {
	Reference  string     `json:"reference,omitempty"`
	Type       string     `json:"type,omitempty"`
	Identifier Identifier `json:"identifier,omitzero"`
	Display    string     `json:"display,omitempty"`
}

// Period is a span of time; either end may be zero.
type Period struct {
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
}

// Payload is what a Communication says.
type Payload struct {
	Text string `json:"contentString"`
}

// Restriction says until when a Task is to be done.
type Restriction struct {
	Period Period `json:"period,omitzero"`
}

// Communication is something that was said to somebody.
type Communication struct {
	Identifier []Identifier `json:"identifier,omitempty"`
	Status     string       `json:"status"`
	Category   []Concept    `json:"category,omitempty"`
	Subject    Reference    `json:"subject,omitzero"`
	About      []Reference  `json:"about,omitempty"`
	Sent       time.Time    `json:"sent,omitzero"`
	Recipient  []Reference  `json:"recipient,omitempty"`
	Sender     Reference    `json:"sender,omitzero"`
	Payload    []Payload    `json:"payload,omitempty"`
}

// Task is something to be done.
type Task struct {
	Identifier  []Identifier `json:"identifier,omitempty"`
	Status      string       `json:"status"`
	Intent      string       `json:"intent"`
	Priority    string       `json:"priority,omitempty"`
	Code        Concept      `json:"code,omitzero"`
	Description string       `json:"description,omitempty"`
	Focus       Reference    `json:"focus,omitzero"`
	For         Reference    `json:"for,omitzero"`
	Authored    time.Time    `json:"authoredOn,omitzero"`
	Requester   Reference    `json:"requester,omitzero"`
	Owner       Reference    `json:"owner,omitzero"`
	Restriction Restriction  `json:"restriction,omitzero"`
}

// ServiceRequest is an order.
type ServiceRequest struct {
	Identifier []Identifier `json:"identifier,omitempty"`
	Status     string       `json:"status"`
	Intent     string       `json:"intent"`
	Category   []Concept    `json:"category,omitempty"`
	Code       Concept      `json:"code,omitzero"`
	Subject    Reference    `json:"subject"`
	Authored   time.Time    `json:"authoredOn,omitzero"`
	Requester  Reference    `json:"requester,omitzero"`
	Performer  []Reference  `json:"performer,omitempty"`
	Reason     []Concept    `json:"reasonCode,omitempty"`
}

// ResearchStudy is a trial, as far as an EHR has to know it.
type ResearchStudy struct {
	Identifier []Identifier `json:"identifier,omitempty"`
	Title      string       `json:"title,omitempty"`
	Status     string       `json:"status"`
}

// ResearchSubject is a patient in a trial, or on the way into it.
type ResearchSubject struct {
	Identifier []Identifier `json:"identifier,omitempty"`
	Status     string       `json:"status"`
	Period     Period       `json:"period,omitzero"`
	Study      Reference    `json:"study"`
	Individual Reference    `json:"individual"`
	Arm        string       `json:"assignedArm,omitempty"`
}

// Resource is one of the resources of this package.
type Resource interface {
	fmt.Formatter
	json() ([]byte, error)
}

// JSON writes a resource.
func JSON(r Resource) ([]byte, error) { return r.json() }

// What writes a resource drops its methods, which refuse to.

func (c Communication) json() ([]byte, error) {
	type plain Communication
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		plain
	}{"Communication", plain(c)})
}

func (t Task) json() ([]byte, error) {
	type plain Task
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		plain
	}{"Task", plain(t)})
}

func (s ServiceRequest) json() ([]byte, error) {
	type plain ServiceRequest
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		plain
	}{"ServiceRequest", plain(s)})
}

func (s ResearchStudy) json() ([]byte, error) {
	type plain ResearchStudy
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		plain
	}{"ResearchStudy", plain(s)})
}

func (s ResearchSubject) json() ([]byte, error) {
	type plain ResearchSubject
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		plain
	}{"ResearchSubject", plain(s)})
}

var errPrivate = errors.New("notice: patient data do not marshal: write them with JSON")

func redact(f fmt.State) { _, _ = io.WriteString(f, "notice:redacted") }

// Format prints a redaction whatever the verb.
func (Communication) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (Communication) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// Format prints a redaction whatever the verb.
func (Task) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (Task) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// Format prints a redaction whatever the verb.
func (ServiceRequest) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (ServiceRequest) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// Format prints a redaction whatever the verb.
func (ResearchStudy) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (ResearchStudy) MarshalJSON() ([]byte, error) { return nil, errPrivate }

// Format prints a redaction whatever the verb.
func (ResearchSubject) Format(f fmt.State, _ rune) { redact(f) }

// MarshalJSON refuses.
func (ResearchSubject) MarshalJSON() ([]byte, error) { return nil, errPrivate }
