package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

// A researcher registers a study, everybody reads it, and its questions are found by it.
func TestAStudyIsRegisteredAndRead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	status, _, body := h.send(http.MethodPost, "/v1/trials", h.tokens[registry.RoleSponsor], h.registration())
	require.Equal(t, http.StatusCreated, status, body)
	plain, err := message.Stored[query.Request](h.question(), query.KindRequest)
	require.NoError(t, err)
	s := study.Study{
		Name: "bp", Version: "1", Title: "BP", Trial: "bp-trial", Purpose: "safety", Cohorts: map[string]json.RawMessage{"all": plain.Cohort},
		Questions: []study.Question{{Name: "count", Cohort: "all", Analysis: plain.Analysis}},
	}
	signed := h.seal(h.researcher, study.KindStudy, s)
	require.Empty(t, get[Studies](h, "/v1/studies").Studies)

	status, _, body = h.send(http.MethodPost, "/v1/studies", h.tokens[registry.RoleSponsor], signed)
	require.Equal(t, http.StatusForbidden, status, body)
	status, _, body = h.send(http.MethodPost, "/v1/studies", h.tokens[registry.RoleResearcher], h.seal(h.sponsor, study.KindStudy, s))
	require.Equal(t, http.StatusForbidden, status, body)
	status, _, body = h.send(http.MethodPost, "/v1/studies", h.tokens[registry.RoleResearcher], signed)
	require.Equal(t, http.StatusCreated, status, body)

	r, err := s.Request("count")
	require.NoError(t, err)
	asked := h.seal(h.researcher, query.KindRequest, r)
	h.set(func() { h.now = start.Add(time.Second / 2) })
	status, _, body = h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: asked, DeadlineSeconds: 86400})
	require.Equal(t, http.StatusAccepted, status, body)

	for _, ref := range []string{"bp", "bp@1"} {
		got := get[Study](h, "/v1/studies/"+ref)
		require.Equal(t, signed.Digest(), got.Envelope.Digest())
		require.Equal(t, r.Study.Study, got.Digest)
		require.Equal(t, []AskedOfStudy{{Name: "count", ID: asked.Digest(), Researcher: h.researcher.DID(), State: query.Open}}, got.Asked)
		require.Equal(t, got.StudyVersion, get[Studies](h, "/v1/studies?limit=1").Studies[0])
	}
	for ref, want := range map[string]int{"bp@2": http.StatusNotFound, "other": http.StatusNotFound, "BP": http.StatusUnprocessableEntity, "bp@": http.StatusUnprocessableEntity} {
		status, _, body := h.send(http.MethodGet, "/v1/studies/"+ref, "", nil)
		require.Equal(t, want, status, body)
	}
}
