package front

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// NoRoute returns the document for an address that is not there.
func NoRoute() problem.Document {
	return problem.From(problem.New(problem.NotFound, "no such address in this API"))
}

// NoMethod returns the document for a method that an address does not take.
func NoMethod() problem.Document {
	doc := problem.From(problem.New(problem.Invalid, "this address does not take that method"))
	doc.Status = http.StatusMethodNotAllowed
	return doc
}

// Unmarshal reads JSON without duplicate names, bad UTF-8 or deep nesting. Its
// errors quote nothing.
func Unmarshal(raw []byte, v any) error {
	clean, err := canonical.Transform(raw)
	if err != nil || json.Unmarshal(clean, v) != nil {
		return errors.New("malformed JSON")
	}
	return nil
}

// Fault is one thing that a validator found wrong with a request.
type Fault struct {
	Where string // for example "body.envelope.issuer"
	What  string // for example "expected string"
}

// maxFaults bounds how many faults an answer lists.
const maxFaults = 5

// kinds are the problem kinds of the statuses that validation answers with.
var kinds = map[int]problem.Kind{
	http.StatusRequestEntityTooLarge: problem.TooLarge,
	http.StatusInternalServerError:   problem.Internal,
}

// Malformed returns the document for a request that is not of the form its
// route takes. Validators quote what they refuse, and a refused value may be a
// patient's: only what the form itself says about the place and the
// expectation goes into the document.
func Malformed(status int, faults []Fault) problem.Document {
	kind, known := kinds[status]
	if !known {
		kind = problem.Invalid
	}
	doc := problem.From(problem.New(kind, "the request is not of the expected form"))
	doc.Status = status
	var details []string
	for _, f := range faults[:min(len(faults), maxFaults)] {
		details = append(details, f.public())
	}
	doc.Detail = strings.Join(details, "; ")
	return doc
}

// public is what may be repeated of a fault.
func (f Fault) public() string {
	what, _, _ := strings.Cut(f.What, ": ") // what follows quotes the cause, and with it the input
	part, _, _ := strings.Cut(f.Where, ".")
	switch {
	case what == "unexpected property":
		return part + ": holds a property that is not known here" // its name is input as well
	case strings.HasPrefix(what, "expected "), strings.HasPrefix(what, "required "),
		what == "invalid integer", what == "invalid float", what == "invalid boolean", what == "invalid value":
		return f.Where + ": " + what
	default:
		return part + ": is malformed"
	}
}
