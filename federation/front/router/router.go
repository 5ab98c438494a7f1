// Package router makes the routers of hub and nodes: gin for the routes, huma for the
// OpenAPI document that they fill, problem documents (RFC 9457) for what goes wrong.
//
// [New] makes a [Router]; [Register] adds an operation that huma reads and writes,
// gin's own methods with [Router.Handle] one that streams or serves a file, and
// [Router.Seal] fixes the document and serves it. Who may call what is for the caller
// to decide.
package router

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Config says what the document says of the whole API.
type Config struct {
	Title       string
	Description string
	Security    map[string]*huma.SecurityScheme

	// Aliases are types that the document describes as others, because they marshal as
	// those do.
	Aliases map[reflect.Type]reflect.Type

	Log *slog.Logger
}

// Router is a router with its document.
type Router struct {
	*gin.Engine
	API huma.API

	log *slog.Logger
}

// New makes a router without a route.
func New(cfg Config) *Router {
	gin.SetMode(gin.ReleaseMode) // the others print
	r := &Router{Engine: gin.New(), log: cfg.Log}
	r.RedirectTrailingSlash = false
	r.HandleMethodNotAllowed = true
	r.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
	r.NoRoute(func(c *gin.Context) { front.WriteProblem(c.Writer, front.NoRoute()) })
	r.NoMethod(func(c *gin.Context) { front.WriteProblem(c.Writer, front.NoMethod()) })
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[problem.Document]())
	for of, as := range cfg.Aliases {
		schemas.RegisterTypeAlias(of, as)
	}
	strict := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: front.Unmarshal}
	r.API = humagin.New(r.Engine, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: cfg.Title, Version: "1", Description: cfg.Description,
				License: &huma.License{Name: "GPL-3.0", Identifier: "GPL-3.0-only"},
			},
			Components: &huma.Components{Schemas: schemas, SecuritySchemes: cfg.Security},
		},
		Formats:       map[string]huma.Format{"application/json": strict, "json": strict},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{withoutValues},
	})
	return r
}

// Seal fixes the document and serves it at /openapi.json.
func (r *Router) Seal() error {
	spec, err := json.Marshal(r.API.OpenAPI())
	if err != nil {
		return err
	}
	r.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/openapi+json", spec) })
	return nil
}

// Handle adapts a handler that streams or serves files.
func (r *Router) Handle(handler func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := handler(c); err != nil {
			front.WriteProblem(c.Writer, front.Blame(c.Request.Context(), r.log, c.FullPath(), err))
		}
	}
}

// Schema returns a reference to the schema of v's type.
func (r *Router) Schema(v any) *huma.Schema {
	return r.API.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

// Register adds an operation. Its errors go out as problem documents.
func Register[In, Out any](r *Router, op huma.Operation, handler func(context.Context, *In) (*Out, error)) {
	huma.Register(r.API, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, &failure{front.Blame(ctx, r.log, op.Method+" "+op.Path, err)}
		}
		return out, nil
	})
}

// schemaName names a type in the document: with its package where that is not the
// API's own, as names repeat.
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

// withoutValues turns the validator's errors, which quote what they refuse, into
// problem documents.
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
