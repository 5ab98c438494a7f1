package fhirapi

import (
	"context"
	"net/http"

	"github.com/trialmesh/trialmesh/node/access"
)

// actions are what a write needs of its method. An update may make a resource that was
// not there, as SMART has it.
var actions = map[string]access.Action{http.MethodPost: access.Create, http.MethodPut: access.Update, http.MethodDelete: access.Delete}

var errScope = refuse(http.StatusForbidden, "forbidden", "the client's token does not allow this: the header WWW-Authenticate names the scope that does")

// permit refuses a request whose sender may not do something with resources of a type.
// Each way to a resource goes through here: an interaction, an entry of a transaction, a
// condition, a conditional reference, what is included.
func permit(ctx context.Context, resourceType string, a access.Action) error {
	if access.From(ctx).May(resourceType, a) {
		return nil
	}
	refused := *errScope
	refused.scope = access.ResourceScope(resourceType, a)
	return &refused
}

// permitted are the types that the sender may search; nil stands for all of them.
func permitted(ctx context.Context) []string {
	caller := access.From(ctx)
	if caller.May("*", access.Search) {
		return nil
	}
	list := []string{}
	for resourceType := range storable {
		if caller.May(resourceType, access.Search) {
			list = append(list, resourceType)
		}
	}
	return list
}

// challenge says in the header which scope is missing, RFC 6750 section 3.1.
func (r *refusal) challenge(h http.Header) {
	if r.scope != "" {
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+r.scope+`"`)
	}
}
