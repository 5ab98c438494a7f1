package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front/router"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// openRouter makes the router and the OpenAPI document that the routes fill.
func (s *server) openRouter() {
	s.router = router.New(router.Config{
		Title:       "Trialmesh node",
		Description: "A site's own API: load files, record consents, look at the state. It is meant for the site's machines only.",
		Security:    securitySchemes(),
		Log:         s.cfg.Logger,
	})
}

// body is an answer that is all body.
type body[T any] struct{ Body T }

// get adds a read that needs the token.
func get[In, Out any](s *server, op huma.Operation, handler func(context.Context, *In) (*body[Out], error)) {
	op.Method = http.MethodGet
	register(s, op, handler)
}

// post adds an act that needs the token.
func post[In, Out any](s *server, op huma.Operation, handler func(context.Context, *In) (*body[Out], error)) {
	op.Method = http.MethodPost
	register(s, op, handler)
}

// register adds an operation that needs the token. Its errors go out as problem documents.
func register[In, Out any](s *server, op huma.Operation, handler func(context.Context, *In) (*body[Out], error)) {
	op.Security = []map[string][]string{{bearer: {}}}
	need := scopeOf(op.Method, op.Path)
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		known, err := s.authorize(ctx.Context(), ctx.Header("Authorization"), op.Method, op.Path, need)
		if err != nil {
			c := humagin.Unwrap(ctx)
			s.refuse(c.Writer, c.Request, op.Path, err, need)
			return
		}
		next(huma.WithContext(ctx, known))
	})
	router.Register(s.router, op, handler)
}

// authorized adapts a handler that streams or serves files, for those who have the token.
func (s *server) authorized(handler func(*gin.Context) error) gin.HandlerFunc {
	return s.router.Handle(func(c *gin.Context) error {
		if err := s.admit(c); err != nil {
			return err
		}
		return handler(c)
	})
}

// document describes a route that huma does not serve.
func (s *server) document(op huma.Operation, status int, mediaType string, schema *huma.Schema) {
	op.Responses = map[string]*huma.Response{
		strconv.Itoa(status): {Description: http.StatusText(status), Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}},
		"default": {Description: "Error", Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: s.router.Schema(problem.Document{})},
		}},
	}
	s.router.API.OpenAPI().AddOperation(&op)
}
