package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
)

// register registers a client with a new key.
func (s *site) register(id, scope, algorithm string) fhirserver.Key {
	s.t.Helper()
	key, err := fhirserver.NewKey(algorithm)
	require.NoError(s.t, err)
	public, err := key.Public()
	require.NoError(s.t, err)
	status, _, answer := s.send(http.MethodPost, clientsPath, "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"scope":%q,"jwks":%s}`, id, scope, public)))
	require.Equal(s.t, http.StatusCreated, status, answer)
	return key
}

// The node's own client of other servers is a client of this one: it finds the token
// endpoint by discovery.
func TestAClientOfBackendServicesGetsIn(t *testing.T) {
	t.Parallel()
	callers := make(chan string, 1)
	s := newSite(t, func(c *Config) {
		c.FHIR = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			callers <- access.From(r.Context()).Client()
			w.Header().Set("Content-Type", "application/fhir+json")
			fmt.Fprint(w, `{"resourceType":"Bundle","type":"searchset"}`)
		})
	})
	for _, algorithm := range []string{fhirserver.ES384, fhirserver.RS384} {
		id := "ehr." + algorithm
		key := s.register(id, "system/*.rs", algorithm)
		c, err := fhirserver.New(fhirserver.Config{Base: s.url + "/fhir", Client: id, Key: key, Now: func() time.Time { return start }})
		require.NoError(t, err)
		at, err := c.SearchURL("Patient", time.Time{}, 10)
		require.NoError(t, err)
		for _, err := range c.Search(t.Context(), at) {
			require.NoError(t, err)
		}
		require.Equal(t, id, <-callers)
	}
	list, err := s.trail.Latest(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, audit.Record{At: start, Event: audit.ClientAdded, Subject: "ehr.RS384: system/*.rs"}, list[0])
}
