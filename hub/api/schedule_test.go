package api

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
)

// A researcher registers a recurring question, everybody sees how far it is, and who may
// cancels it.
func TestAScheduleIsRegisteredReadAndCancelled(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	h.must(registry.RegisterTrial{Registration: h.registration()})
	plain, err := message.Stored[query.Request](h.question(), query.KindRequest)
	require.NoError(t, err)
	plan := schedule.Plan{Name: "hourly", Question: plain, Cron: "30 * * * *", First: start.Add(-24 * time.Hour), Occurrences: 4, DeadlineSeconds: 3600}
	s, err := schedule.Sign(h.researcher, plan, rand.Reader)
	require.NoError(t, err)
	signed := h.seal(h.researcher, schedule.KindSchedule, s)
	require.Empty(t, get[Schedules](h, "/v1/schedules").Schedules)
	for key, token := range map[identity.Key]string{h.researcher: h.tokens[registry.RoleSponsor], h.sponsor: h.tokens[registry.RoleResearcher]} {
		status, _, body := h.send(http.MethodPost, "/v1/schedules", token, h.seal(key, schedule.KindSchedule, s))
		require.Equal(t, http.StatusForbidden, status, body)
	}
	for _, existed := range []bool{false, true} {
		status, _, body := h.send(http.MethodPost, "/v1/schedules", h.tokens[registry.RoleResearcher], signed)
		require.Equal(t, http.StatusCreated, status, body)
		require.Equal(t, existed, decode[Recorded](t, body).Existed)
	}

	// The first is missed, the second is asked late.
	requests, err := s.Envelopes(h.researcher.DID())
	require.NoError(t, err)
	digest, err := plan.Digest()
	require.NoError(t, err)
	ask := func(number int) {
		h.must(registry.AskOccurrence{Schedule: digest, Number: number, Limits: registry.DefaultQueue})
	}
	h.set(func() { h.now = requests[0].Issued.Add(schedule.Window) })
	ask(1)
	ask(2)
	got := get[Schedule](h, "/v1/schedules/hourly")
	require.Equal(t, []int{4, 1, 1}, []int{got.Occurrences, got.Asked, got.Missed})
	require.Equal(t, requests[2].Issued, *got.Next)
	require.Equal(t, signed.Digest(), got.Envelope.Digest())
	require.Equal(t, plain.Purpose, got.Request.Purpose)
	second := requests[1].Digest()
	require.Equal(t, []OccurrenceView{
		{Number: 1, Due: requests[0].Issued, State: schedule.Missed, Reason: "the hub did not ask it within a day after it was due"},
		{Number: 2, Due: requests[1].Issued, State: schedule.Asked, Query: &second, Question: query.Open},
		{Number: 3, Due: requests[2].Issued, State: schedule.Pending},
		{Number: 4, Due: requests[3].Issued, State: schedule.Pending},
	}, got.Times)
	require.Equal(t, []ScheduleSummary{got.ScheduleSummary}, get[Schedules](h, "/v1/schedules?limit=1").Schedules)
	require.Equal(t, "hourly", get[Question](h, "/v1/queries/"+second.String()).Request.Schedule.Name)

	cancel := func(name string, digest message.Digest, key identity.Key, token string) (int, string) {
		e, err := message.Seal(key, schedule.KindCancellation, schedule.Cancellation{Schedule: digest}, h.time(), time.Hour, rand.Reader)
		require.NoError(t, err)
		status, _, body := h.send(http.MethodPost, "/v1/schedules/"+name+"/cancel", token, Cancelling{Envelope: e})
		return status, body
	}
	for want, try := range map[int]func() (int, string){
		http.StatusNotFound: func() (int, string) { return cancel("other", digest, h.researcher, h.tokens[registry.RoleResearcher]) },
		http.StatusUnprocessableEntity: func() (int, string) {
			return cancel("hourly", message.Digest{1}, h.researcher, h.tokens[registry.RoleResearcher])
		},
		http.StatusForbidden: func() (int, string) { return cancel("hourly", digest, h.board, h.tokens[registry.RoleResearcher]) },
	} {
		status, body := try()
		require.Equal(t, want, status, body)
	}
	for _, existed := range []bool{false, true} {
		status, body := cancel("hourly", digest, h.sponsor, h.tokens[registry.RoleSponsor])
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, existed, decode[Recorded](t, body).Existed)
	}
	got = get[Schedule](h, "/v1/schedules/hourly")
	require.NotNil(t, got.Cancelled)
	require.Nil(t, got.Next)
	require.Equal(t, schedule.Cancelled, got.Times[3].State)
	for ref, want := range map[string]int{"other": http.StatusNotFound, "Hourly": http.StatusUnprocessableEntity} {
		status, _, body := h.send(http.MethodGet, "/v1/schedules/"+ref, "", nil)
		require.Equal(t, want, status, body)
	}
}
