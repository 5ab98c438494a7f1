package wearable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// maxText bounds a text of the header in bytes, as an observation's are.
const maxText = 64

// Header is what a document says before its payloads. All its payloads are of one
// person: nothing is guessed from an account, a device or a file's name.
type Header struct {
	// Wearable is the maker: fitbit, oura, garmin, google, withings or openmhealth.
	Wearable string `json:"wearable"`

	// Patient is the id of the FHIR Patient, 1 to 64 bytes.
	Patient string `json:"patient"`

	// Timezone is the IANA name of the zone in which the account's days begin, for
	// example "Europe/Berlin". It may be empty if every time of the payloads has an
	// offset; without it, times of day that have none are not read.
	Timezone string `json:"timezone,omitempty"`

	// Units is the system of units that Fitbit was asked for with Accept-Language:
	// "metric" (also what it gives unasked), "us" or "uk". Other makers have one.
	Units string `json:"units,omitempty"`
}

// Format prints a redaction whatever the verb.
func (Header) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "wearable:redacted") }

// MarshalJSON refuses: whose data it is is written by [Header.Open] only.
func (Header) MarshalJSON() ([]byte, error) {
	return nil, errors.New("wearable: patient data does not marshal")
}

// Open returns the first part of a document with that header, up to its payloads;
// after them the [Close] part ends it. It does not look at what the members say.
func (h Header) Open() string {
	type open Header                 // which marshals
	text, _ := json.Marshal(open(h)) // strings always do
	return strings.TrimSuffix(string(text), "}") + `,"payloads":[`
}

// Close is the end of a document after its payloads.
const Close = "]}\n"

// field returns the member called name, nil for any other.
func (h *Header) field(name string) *string {
	switch name {
	case "wearable":
		return &h.Wearable
	case "patient":
		return &h.Patient
	case "timezone":
		return &h.Timezone
	case "units":
		return &h.Units
	}
	return nil
}

// document reads the object around the payloads.
func (r *reader) document() error {
	if err := r.in.Expect('{'); err != nil {
		return err
	}
	listed := false
	for r.in.Renew(); r.in.More(); r.in.Renew() {
		key, err := r.in.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		switch field := r.header.field(name); {
		case listed, name != "payloads" && field == nil:
			return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Detail: "want wearable, patient, timezone and units, each at most once, then payloads"}
		case name == "payloads":
			listed = true
			if err := r.begin(); err != nil {
				return err
			}
			if err := r.payloads(); err != nil {
				return err
			}
		case *field != "":
			return &fhir.Problem{Rule: fhir.RuleDuplicateKey, Path: name}
		default:
			if *field, err = r.text(name); err != nil {
				return err
			}
		}
	}
	if err := r.in.Expect('}'); err != nil {
		return err
	}
	if !listed {
		return &fhir.Problem{Rule: fhir.RuleMissingField, Path: "payloads"}
	}
	return r.in.End()
}

// text reads a text of the header.
func (r *reader) text(name string) (string, error) {
	raw, err := r.in.Value()
	if err != nil {
		return "", err
	}
	var s string
	switch {
	case !utf8.Valid(raw):
		return "", &fhir.Problem{Rule: fhir.RuleInvalidUTF8, Path: name}
	case json.Unmarshal(raw, &s) != nil:
		return "", &fhir.Problem{Rule: fhir.RuleWrongType, Path: name, Detail: "want string"}
	case len(s) > maxText:
		return "", &fhir.Problem{Rule: fhir.RuleTooLarge, Path: name, Detail: "want at most 64 bytes"}
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", &fhir.Problem{Rule: fhir.RuleForbiddenCharacter, Path: name}
	}
	return s, nil
}

// begin judges the header before the first payload.
func (r *reader) begin() error {
	h := r.header
	switch {
	case h.Wearable == "":
		return &fhir.Problem{Rule: fhir.RuleMissingField, Path: "wearable", Detail: "it has to come before payloads"}
	case h.Patient == "":
		return &fhir.Problem{Rule: fhir.RuleMissingField, Path: "patient", Detail: "it has to come before payloads"}
	case makers[h.Wearable] == nil:
		return &fhir.Problem{Rule: RuleUnknownWearable, Path: "wearable", Detail: "want " + names}
	case h.Units != "" && (h.Wearable != "fitbit" || fitbitUnits[h.Units] == nil):
		return &fhir.Problem{Rule: RuleInvalidUnit, Path: "units", Detail: "want metric, us or uk, of fitbit only"}
	}
	r.maker = makers[h.Wearable]
	if h.Timezone == "" {
		return nil
	}
	zone, err := time.LoadLocation(h.Timezone)
	if err != nil || h.Timezone == "Local" {
		return &fhir.Problem{Rule: fhir.RuleInvalidTime, Path: "timezone", Detail: "want an IANA name such as Europe/Berlin"}
	}
	r.zone = zone
	return nil
}

func (r *reader) payloads() error {
	if err := r.in.Expect('['); err != nil {
		return err
	}
	for i := 0; r.in.More(); i++ {
		if err := r.payload("payloads[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	return r.in.Expect(']')
}
