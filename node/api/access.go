package api

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

var (
	errNoToken  = problem.New(problem.Unauthorized, "a bearer token is needed")
	errToken    = problem.New(problem.Unauthorized, "the bearer token is not this node's")
	errLoopback = problem.New(problem.Forbidden, "the status page is shown on this machine only")
)

// authorize checks the bearer token in constant time.
func (s *server) authorize(authorization string) error {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return errNoToken
	}
	given := message.Sum([]byte(text)) // of one length, whatever was given
	if subtle.ConstantTimeCompare(given[:], s.token[:]) != 1 {
		return errToken
	}
	return nil
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
