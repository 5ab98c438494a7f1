package api

import (
	"context"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/federation/front/router"
	"github.com/trialmesh/trialmesh/protocol/consent"
)

// openRouter makes the router and the OpenAPI document that the routes fill.
func (s *server) openRouter() {
	s.router = router.New(router.Config{
		Title:       "Trialmesh hub",
		Description: "What is registered, asked and answered in a network. Reads are public; writes need a bearer token.",
		Security:    map[string]*huma.SecurityScheme{bearer: {Type: "http", Scheme: "bearer"}},
		Aliases:     map[reflect.Type]reflect.Type{reflect.TypeFor[consent.Mask](): reflect.TypeFor[[]string]()},
		Log:         s.cfg.Logger,
	})
}

// register adds an operation. Its errors go out as problem documents.
func register[In, Out any](s *server, op huma.Operation, handler func(context.Context, *In) (*Out, error)) {
	op.MaxBodyBytes = maxBody
	op.BodyReadTimeout = -1 // package front has the deadline
	router.Register(s.router, op, handler)
}

// document describes a route that huma does not serve.
func (s *server) document(op huma.Operation, mediaType, answer string) {
	op.Responses = map[string]*huma.Response{
		"200": {Description: answer, Content: map[string]*huma.MediaType{mediaType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
	}
	s.router.API.OpenAPI().AddOperation(&op)
}
