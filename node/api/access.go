package api

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

var (
	errNoToken  = problem.New(problem.Unauthorized, "a bearer token is needed")
	errToken    = problem.New(problem.Unauthorized, "the bearer token is not this node's, has expired or was revoked")
	errScope    = problem.New(problem.Forbidden, "the bearer token does not allow this: the header WWW-Authenticate names the scope that does")
	errOperator = problem.New(problem.Forbidden, "this takes the node's own bearer token")
	errLoopback = problem.New(problem.Forbidden, "the status page is shown on this machine only")
)

// caller returns whose the bearer token is. The node's own is compared in constant time.
func (s *server) caller(ctx context.Context, authorization string) (access.Caller, error) {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return access.Caller{}, errNoToken
	}
	given := message.Sum([]byte(text)) // of one length, whatever was given
	if subtle.ConstantTimeCompare(given[:], s.token[:]) == 1 {
		return access.Operator(), nil
	}
	caller, err := s.cfg.Access.Authenticate(ctx, text, s.cfg.Now())
	if errors.Is(err, access.ErrToken) {
		return access.Caller{}, errToken
	}
	return caller, retry(err)
}

// authorize returns ctx with the caller, who must have the scope of the route. What may
// change something is logged with the client's name.
func (s *server) authorize(ctx context.Context, authorization, method, path string, need scope) (context.Context, error) {
	caller, err := s.caller(ctx, authorization)
	switch {
	case err != nil:
		return ctx, err
	case need == operator && !caller.IsOperator():
		return ctx, errOperator
	case need != operator && need != anyone && !caller.Allows(access.Own(need)):
		return ctx, errScope
	}
	if client := caller.Client(); client != "" && method != http.MethodGet && method != http.MethodHead {
		s.cfg.Logger.InfoContext(ctx, "client let in", "client", client, "method", method, "route", path)
	}
	return access.With(ctx, caller), nil
}

// challenge says in the header which token is wanted.
//
// Source: RFC 6750, section 3.
func challenge(h http.Header, err error, need scope) {
	switch {
	case errors.Is(err, errToken):
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case errors.Is(err, errScope):
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+string(need)+`"`)
	case errors.Is(err, errOperator):
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
	}
}

// admit is authorize for a request of the router: the handlers that follow have the
// caller in their context.
func (s *server) admit(c *gin.Context) error {
	need := scopeOf(c.Request.Method, c.FullPath())
	ctx, err := s.authorize(c.Request.Context(), c.GetHeader("Authorization"), c.Request.Method, c.FullPath(), need)
	if err != nil {
		challenge(c.Writer.Header(), err, need)
		return err
	}
	c.Request = c.Request.WithContext(ctx)
	return nil
}

// refuse answers a request that is not let in.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, path string, err error, need scope) {
	challenge(w.Header(), err, need)
	front.WriteProblem(w, front.Blame(r.Context(), s.cfg.Logger, path, err))
}

// onLoopback reports whether a request comes from this machine and meant to. A
// page elsewhere can have its own name resolve to this machine, and then the
// browser here would read for it: such a request carries that name.
func onLoopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	at, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && at.IsLoopback()
}
