package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// bearer names the security scheme in the OpenAPI document.
const bearer = "bearer"

var (
	errNoToken = problem.New(problem.Unauthorized, "a bearer token is needed")
	errRole    = problem.New(problem.Forbidden, "the bearer token is of another role than this needs")
	errHolder  = problem.New(problem.Forbidden, "the bearer token is not of whoever signed this")
)

type callerKey struct{}

// only lets an operation be called with a token of the role, or of one of others.
func (s *server) only(role registry.Role, op huma.Operation, others ...registry.Role) huma.Operation {
	op.Security = []map[string][]string{{bearer: {}}}
	op.Description = strings.TrimSpace(op.Description + " Needs a token of role " + orWords(append([]registry.Role{role}, others...)) + ".")
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		token, err := s.caller(ctx.Context(), ctx.Header("Authorization"), role, others...)
		if err != nil {
			front.WriteProblem(humagin.Unwrap(ctx).Writer, front.Blame(ctx.Context(), s.cfg.Logger, op.Method+" "+op.Path, err))
			return
		}
		next(huma.WithValue(ctx, callerKey{}, token.Holder))
	})
	return op
}

// onlyFile is only for a route that huma does not serve.
func (s *server) onlyFile(role registry.Role, handler func(*gin.Context) error) gin.HandlerFunc {
	return s.router.Handle(func(c *gin.Context) error {
		if _, err := s.caller(c.Request.Context(), c.GetHeader("Authorization"), role); err != nil {
			return err
		}
		return handler(c)
	})
}

// caller returns whose token a request carries. Tokens are looked up by their
// digest, so the time it takes says nothing about a token that exists.
func (s *server) caller(ctx context.Context, authorization string, role registry.Role, others ...registry.Role) (registry.Token, error) {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return registry.Token{}, errNoToken
	}
	token, err := s.cfg.Registry.Token(ctx, registry.TokenHash(text), s.cfg.Now())
	if err != nil {
		return registry.Token{}, err
	}
	if token.Role != role && !slices.Contains(others, token.Role) {
		return registry.Token{}, errRole.With(fmt.Sprintf("it is that of a %s, and this needs one of a %s", token.Role, orWords(append([]registry.Role{role}, others...))))
	}
	return token, nil
}

// signedBy reports whether the caller holds the key that signed e.
func signedBy(ctx context.Context, e message.Envelope) error {
	if holder, _ := ctx.Value(callerKey{}).(identity.DID); holder != e.Issuer {
		return errHolder.With(fmt.Sprintf("it is of %s, and %s signed", holder.Short(), e.Issuer.Short()))
	}
	return nil
}

// orWords lists roles of which any will do.
func orWords(roles []registry.Role) string {
	text := ""
	for i, role := range roles {
		if i > 0 {
			text += " or "
		}
		text += string(role)
	}
	return text
}
