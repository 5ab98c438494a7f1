package cdshooks

import (
	"net/http"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// refusal is a refusal with the status that the specification wants.
type refusal struct {
	status int
	cause  *problem.Error
}

func (r *refusal) Error() string { return r.cause.Error() }
func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, kind problem.Kind, public string) *refusal {
	return &refusal{status, problem.New(kind, public)}
}

// malformed is a request that is not as the specification has it; what names the element.
func malformed(what string) *refusal {
	return refuse(http.StatusBadRequest, problem.Invalid, "the request is not one of CDS Hooks: "+what)
}

// untrusted is a request without a token that counts.
func untrusted(why string) *refusal {
	return refuse(http.StatusUnauthorized, problem.Unauthorized, "the request is not signed by a registered EHR: "+why)
}

var (
	errService = refuse(http.StatusNotFound, problem.NotFound, "no such service")
	errMethod  = refuse(http.StatusMethodNotAllowed, problem.Invalid, "this address does not take that method")
	errMedia   = refuse(http.StatusUnsupportedMediaType, problem.Invalid, "want a body of application/json")
	errPatient = refuse(http.StatusPreconditionFailed, problem.Invalid, "the node compares this EHR's patients with its own: prefetch.patient must be the Patient of context.patientId")
	errCard    = malformed("feedback: a card is none that this service showed to this EHR")
)
