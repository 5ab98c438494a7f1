package access

import "context"

// Caller is who sent a request and what they may do. The zero value may do nothing.
type Caller struct {
	client   string
	scopes   Scopes
	operator bool
}

// Operator is the site itself: whoever can read the node's own token. It may do all.
func Operator() Caller { return Caller{operator: true} }

// NewCaller is a registered client with what its token allows.
func NewCaller(client string, scopes Scopes) Caller { return Caller{client: client, scopes: scopes} }

// Client is the id of the registered client, "" for the site itself.
func (c Caller) Client() string { return c.client }

// IsOperator reports whether the caller is the site itself.
func (c Caller) IsOperator() bool { return c.operator }

// Allows reports whether the caller has one of the node's own scopes.
func (c Caller) Allows(own Own) bool { return c.operator || c.scopes.Allows(own) }

// May reports whether the caller may do all of the actions with FHIR resources of a type.
func (c Caller) May(resourceType string, a Action) bool {
	return c.operator || c.scopes.May(resourceType, a)
}

type callerKey struct{}

// With returns ctx with who sent the request.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns who sent the request of ctx, the zero Caller if that is not known.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
