package api

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// openRouter makes the router and the OpenAPI document that the routes fill.
func (s *server) openRouter() {
	gin.SetMode(gin.ReleaseMode) // the others print
	s.router = gin.New()
	s.router.RedirectTrailingSlash = false
	s.router.HandleMethodNotAllowed = true
	s.router.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
	s.router.NoRoute(func(c *gin.Context) { front.WriteProblem(c.Writer, front.NoRoute()) })
	s.router.NoMethod(func(c *gin.Context) { front.WriteProblem(c.Writer, front.NoMethod()) })
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[problem.Document]())
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: front.Unmarshal}
	s.api = humagin.New(s.router, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Trialmesh node", Version: "1",
				Description: "A site's own API: load files, record consents, look at the state. It is meant for the site's machines only.",
				License:     &huma.License{Name: "GPL-3.0", Identifier: "GPL-3.0-only"},
			},
			Components: &huma.Components{
				Schemas:         schemas,
				SecuritySchemes: s.securitySchemes(),
			},
		},
		Formats:       map[string]huma.Format{"application/json": strict, "json": strict},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{withoutValues},
	})
}

// closeRouter fixes the OpenAPI document and serves it.
func (s *server) closeRouter() error {
	documentScopes(s.api.OpenAPI())
	spec, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return err
	}
	s.router.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/openapi+json", spec) })
	return nil
}

// schemaName names a type in the OpenAPI document: with its package where that
// is not this one, as names repeat.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch home := path.Base(t.PkgPath()); home {
	case "api", ".":
		return name
	default:
		return strings.ToUpper(home[:1]) + home[1:] + name
	}
}

// withoutValues turns the validator's errors, which quote what they refuse,
// into problem documents.
func withoutValues(_ huma.Context, _ string, v any) (any, error) {
	model, refused := v.(*huma.ErrorModel)
	if !refused {
		return v, nil
	}
	var faults []front.Fault
	for _, e := range model.Errors {
		faults = append(faults, front.Fault{Where: e.Location, What: e.Message})
	}
	return front.Malformed(model.Status, faults), nil
}

// failure is a problem document as huma sends one.
type failure struct{ problem.Document }

func (f *failure) Error() string             { return f.Title }
func (f *failure) GetStatus() int            { return f.Status }
func (f *failure) ContentType(string) string { return "application/problem+json" }

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
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*body[Out], error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, &failure{front.Blame(ctx, s.cfg.Logger, op.Path, err)}
		}
		return out, nil
	})
}

// handle adapts a handler that streams or serves files.
func (s *server) handle(handler func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handler(c); err != nil {
			front.WriteProblem(c.Writer, front.Blame(c.Request.Context(), s.cfg.Logger, c.FullPath(), err))
		}
	}
}

// authorized is handle for those who have the token.
func (s *server) authorized(handler func(*gin.Context) error) gin.HandlerFunc {
	return s.handle(func(c *gin.Context) error {
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
			"application/problem+json": {Schema: s.schema(problem.Document{})},
		}},
	}
	s.api.OpenAPI().AddOperation(&op)
}

// schema returns a reference to the schema of v's type.
func (s *server) schema(v any) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}
