package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/access"
)

// spoken is clients whose tokens say what they allow: "may ingest,jobs.read".
type spoken struct{ noAccess }

func (spoken) Authenticate(_ context.Context, token string, _ time.Time) (access.Caller, error) {
	scopes, err := access.ParseScopes(strings.ReplaceAll(token, ",", " "))
	if err != nil {
		return access.Caller{}, access.ErrToken
	}
	return access.NewCaller("script", scopes), nil
}

// open are the routes that take no token.
var open = map[string]bool{
	"GET /healthz": true, "GET /readyz": true, "POST " + TokenPath: true, "GET " + serverPath: true,
}

// Every route that the document names says which scope it needs, there and in the table,
// and takes a token with that scope and none other.
func TestEveryRouteNeedsItsScope(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.Access, c.Rate, c.Burst = spoken{}, 1e6, 1e6 })
	_, _, body := s.sendAs("", http.MethodGet, "/openapi.json", "", nil)
	var doc struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &doc))
	seen := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			route := strings.ToUpper(method) + " " + path
			if open[route] {
				require.Empty(t, op.Security, route)
				continue
			}
			need, known := scopes[route]
			require.True(t, known, "%s is not in the table of scopes", route)
			seen[route] = true
			require.Equal(t, []string{}, op.Security[0][bearer], route)
			if need == operator {
				require.Len(t, op.Security, 1, route)
			} else {
				require.Equal(t, map[string][]string{oauth2: {string(need)}}, op.Security[1], route)
			}
			s.needs(strings.ToUpper(method), path, need)
		}
	}
	for route, need := range scopes {
		if !seen[route] { // one that the document does not name
			method, path, _ := strings.Cut(route, " ")
			s.needs(method, path, need)
		}
	}
}

// needs checks who is let in at a route.
func (s *site) needs(method, path string, need scope) {
	s.t.Helper()
	at := strings.NewReplacer("{id}", "7", "{name}", "x").Replace(path)
	rest := []string{"system/*.cruds"}
	for _, own := range access.Owns() {
		if scope(own.Scope) != need {
			rest = append(rest, string(own.Scope))
		}
	}
	status, header, _ := s.sendAs("Bearer "+strings.Join(rest, ","), method, at, "", strings.NewReader(""))
	require.Equal(s.t, http.StatusForbidden, status, "%s %s", method, path)
	if need == operator {
		require.Equal(s.t, `Bearer error="insufficient_scope"`, header.Get("WWW-Authenticate"))
		return
	}
	require.Equal(s.t, `Bearer error="insufficient_scope", scope="`+string(need)+`"`, header.Get("WWW-Authenticate"))
	status, _, _ = s.sendAs("Bearer "+string(need), method, at, "", strings.NewReader(""))
	require.NotContains(s.t, []int{401, 403}, status, "%s %s", method, path)
	status, _, _ = s.sendAs("", method, at, "", strings.NewReader(""))
	require.Equal(s.t, http.StatusUnauthorized, status, "%s %s", method, path)
}

func TestARouteWithoutAScopeIsTheOperators(t *testing.T) {
	t.Parallel()
	require.Equal(t, operator, scopeOf("GET", "/v1/new"))
	require.Equal(t, operator, scopeOf("PUT", "/v1/status"))
	require.Equal(t, scope(access.JobsRead), scopeOf("GET", "/v1/ingest/jobs/:id"))
	require.Equal(t, anyone, scopeOf("GET", "/fhir/*path"))
	require.Equal(t, operator, scopeOf("GET", "/fhirx"))
}
