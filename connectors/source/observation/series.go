package observation

import (
	"bytes"
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

// Series is a column of values of one code of one person. It neither prints nor
// marshals.
type Series struct {
	Source string
	Person string // id of the FHIR Patient
	System string // of Code, for example "http://loinc.org"; may be empty
	Code   string
	Unit   string // UCUM; may be empty

	Times  []int64 // milliseconds since 1970 UTC
	Values []float64

	// Missing is how many moments the source lists without a value.
	Missing int
}

// Format prints a redaction whatever the verb.
func (*Series) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "observation:redacted") }

// MarshalJSON refuses: patient data leaves through the store only.
func (*Series) MarshalJSON() ([]byte, error) {
	return nil, errors.New("observation: patient data does not marshal")
}

// EachReference implements [fhir.Resource]; a series has none.
func (*Series) EachReference(func(string, *fhir.Reference)) {}

// Bounds of the texts of an observation, in bytes.
const (
	maxID   = 64
	maxText = 256
)

// sent is an observation as it comes.
type sent struct {
	Person string     `json:"person"`
	System string     `json:"system"`
	Code   string     `json:"code"`
	Unit   string     `json:"unit"`
	Time   *instant   `json:"time"`
	Value  *float64   `json:"value"`
	Times  []instant  `json:"times"`
	Values []*float64 `json:"values"`
}

// parse reads one observation. The path of a problem begins behind the observation.
func parse(raw []byte) (*Series, *fhir.Problem) {
	if !utf8.Valid(raw) {
		return nil, &fhir.Problem{Rule: fhir.RuleInvalidUTF8}
	}
	var s sent
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, typed(err)
	}
	switch {
	case s.Person == "":
		return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: ".person"}
	case len(s.Person) > maxID:
		return nil, &fhir.Problem{Rule: fhir.RuleInvalidID, Path: ".person", Detail: "want at most 64 bytes"}
	case s.Code == "":
		return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: ".code"}
	case len(s.Code) > maxText || len(s.System) > maxText || len(s.Unit) > maxText:
		return nil, &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "system, code and unit have at most 256 bytes"}
	case strings.ContainsFunc(s.Person+s.System+s.Code+s.Unit, unicode.IsControl):
		return nil, &fhir.Problem{Rule: fhir.RuleForbiddenCharacter, Detail: "a control character in a name"}
	}
	return s.series()
}

func (s *sent) series() (*Series, *fhir.Problem) {
	switch one, many := s.Time != nil || s.Value != nil, s.Times != nil || s.Values != nil; {
	case one && many:
		return nil, &fhir.Problem{Rule: fhir.RuleWrongType, Detail: "want time and value, or times and values"}
	case one && s.Time == nil:
		return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: ".time"}
	case one && s.Value == nil:
		return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: ".value"}
	case one:
		s.Times, s.Values = []instant{*s.Time}, []*float64{s.Value}
	case len(s.Times) == 0 && len(s.Values) == 0:
		return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: ".times"}
	case len(s.Times) != len(s.Values):
		return nil, &fhir.Problem{Rule: fhir.RuleWrongType, Path: ".values", Detail: "want as many values as times"}
	}
	out := &Series{
		Person: s.Person, System: s.System, Code: s.Code, Unit: s.Unit,
		Times: make([]int64, len(s.Times)), Values: make([]float64, len(s.Values)),
	}
	for i, v := range s.Values {
		if v == nil {
			return nil, &fhir.Problem{Rule: fhir.RuleWrongType, Path: ".values[" + strconv.Itoa(i) + "]", Detail: "want a number"}
		}
		out.Times[i], out.Values[i] = int64(s.Times[i]), *v
	}
	return out, nil
}

// instant is a time in milliseconds since 1970 UTC.
type instant int64

var errInstant = errors.New("observation: no time")

// UnmarshalJSON reads RFC 3339 or whole milliseconds. null is refused too.
func (i *instant) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(b))
		if err != nil {
			return errInstant
		}
		*i = instant(at.UnixMilli())
		return nil
	}
	ms, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return errInstant
	}
	*i = instant(ms)
	return nil
}

// typed is the problem that strict decoding met.
func typed(err error) *fhir.Problem {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, errInstant):
		return &fhir.Problem{Rule: fhir.RuleInvalidTime, Detail: "want RFC 3339 or whole milliseconds since 1970"}
	case errors.As(err, &kind):
		return &fhir.Problem{Rule: fhir.RuleWrongType, Detail: "want " + kind.Type.Kind().String()}
	}
	return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Detail: "want person, system, code, unit and time, value or times, values"}
}
