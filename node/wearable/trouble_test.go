package wearable

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/wearable/makertest"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// deadSealer is of a process that is killed before it seals.
type deadSealer struct{ Sealer }

func (deadSealer) Seal([]byte, string) ([]byte, error) { return nil, errors.New("killed") }

// span reads the nanoseconds at the end of a path of Google Fit's.
func span(path string) (from, to int64) {
	_, last, _ := strings.Cut(path, "/datasets/")
	a, b, _ := strings.Cut(last, "-")
	from, _ = strconv.ParseInt(a, 10, 64)
	to, _ = strconv.ParseInt(b, 10, 64)
	return from, to
}

// TestTroubleOfAMaker that passes is waited for as it asks, and what is there stays.
func TestTroubleOfAMaker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  string
		fault makertest.Fault
		error string
		retry time.Duration
	}{
		"limit of requests":   {makertest.Data, makertest.Status(429, "600"), "for 10m0s", 10 * time.Minute},
		"tokens answer 500":   {makertest.Token, makertest.Status(500, ""), "status 500", time.Minute},
		"tokens are no JSON":  {makertest.Token, makertest.Text("Erika"), "not the JSON", 0},
		"tokens are 100 MB":   {makertest.Token, makertest.Endless, "not the JSON", 0},
		"application refused": {makertest.Token, makertest.Status(401, ""), "does not take the application", 0},
		"a feed is broken":    {makertest.Data, makertest.Status(502, ""), "sleep: the maker answered with status 502", time.Minute},
		"a feed is refused":   {makertest.Data, makertest.Status(403, ""), "not fetched: sleep (the maker refuses it", 0},
		"a feed is no JSON":   {makertest.Data, makertest.Text(`{}]} Erika`), "not fetched: sleep (the maker's answer is not", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, sqltest.SQLite(t), at("2026-03-10T08:00:00Z"))
			service := s.open()
			s.run(service)
			conn := s.connect(service, "oura", "p1", "")
			conn = s.pulled(service, conn.ID, time.Time{})
			require.Empty(t, conn.Error)
			s.clock.pass(48 * time.Hour)
			s.fake.Once(c.kind, c.fault)
			conn = s.again(service, conn)
			require.Contains(t, conn.Error, c.error)
			require.NotContains(t, conn.Error, "Erika")
			require.Equal(t, Connected, conn.State)
			list, err := service.List(t.Context())
			require.NoError(t, err)
			if c.retry == 0 {
				require.True(t, list[0].Next.IsZero(), "it has no schedule")
				conn = s.again(service, conn)
			} else {
				require.Equal(t, c.retry, list[0].Next.Sub(conn.Ended))
				s.clock.pass(c.retry)
				service.rouse()
				conn = s.pulled(service, conn.ID, conn.Ended)
			}
			require.Empty(t, conn.Error)
			require.Equal(t, conn.Ended, conn.Success)
		})
	}
}

func TestAWithdrawnAuthorizationIsNotRetried(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		s.settings("fitbit", `schedule: "0 * * * *"`)
		service := s.open()
		s.run(service)
		c := s.connect(service, "fitbit", "p1", "UTC")
		c = s.pulled(service, c.ID, time.Time{})
		s.fake.Withdraw()
		c = s.again(service, c)
		require.Equal(t, Over, c.State)
		require.Contains(t, c.Error, "the authorization is over")
		require.Empty(t, c.tokens, "they are worth nothing")
		asked := len(s.fake.Asked(makertest.Token))
		_, err := service.Pull(t.Context(), c.ID, time.Time{})
		require.ErrorIs(t, err, errOver)
		s.clock.pass(48 * time.Hour)
		list, err := service.List(t.Context())
		require.NoError(t, err)
		require.True(t, list[0].Next.IsZero())

		healthy := s.connect(service, "withings", "p2", "") // is pulled, and the other is not
		s.pulled(service, healthy.ID, time.Time{})
		require.Len(t, s.fake.Asked(makertest.Token), asked+1)

		until, err := service.progress(t.Context(), c.ID)
		require.NoError(t, err)
		again := s.connect(service, "fitbit", "p1", "UTC")
		require.Equal(t, c.ID, again.ID)
		c = s.pulled(service, c.ID, c.Ended)
		require.Equal(t, Connected, c.State)
		require.Empty(t, c.Error)
		later, err := service.progress(t.Context(), c.ID)
		require.NoError(t, err)
		require.True(t, later["sleep"].After(until["sleep"]), "it goes on where it was")
	})
}

// TestAnAuthorizationIsTakenOnceAndOfWhomItWasAsked: what comes back is checked before the
// maker is asked anything.
func TestAnAuthorizationIsTakenOnceAndOfWhomItWasAsked(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		service := s.open()
		begin := func(maker, patient string) string {
			a, err := service.Begin(t.Context(), maker, patient, "UTC")
			require.NoError(t, err)
			require.Equal(t, makertest.Redirect, a.Redirect)
			return s.fake.Allow(a.URL)
		}
		refused := func(redirected string, want error) {
			t.Helper()
			_, err := service.Complete(t.Context(), redirected)
			require.ErrorIs(t, err, want)
		}
		back := begin("fitbit", "p1")
		refused("%", errRedirect)
		refused("", errState)
		refused(strings.Replace(back, "state=", "state=x", 1), errState)
		refused(strings.Replace(back, "127.0.0.1:8712", "127.0.0.1:9999", 1), errRedirect)
		refused(back, errState) // it is spent
		back = begin("fitbit", "p1")
		s.clock.pass(authorizationTime)
		refused(back, errState)
		back = begin("fitbit", "p1")
		refused(back+"x", errState)
		code, _, _ := strings.Cut(strings.SplitAfter(back, "code=")[1], "&")
		refused(strings.Replace(back, code, "another", 1), errCode)
		back = begin("fitbit", "p1")
		_, err := service.Complete(t.Context(), strings.Replace(back, "code=", "error=access_denied&c=", 1))
		require.ErrorContains(t, err, "access_denied")
		back = begin("fitbit", "p1")
		_, err = service.Complete(t.Context(), strings.Replace(back, "code=", "error=Erika+Mustermann&c=", 1))
		require.NotContains(t, err.Error(), "Erika")
		list, err := service.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list)
		require.Len(t, s.fake.Asked(makertest.Token), 1, "for the code of another")

		c := s.connect(service, "fitbit", "p1", "UTC")
		refused(begin("fitbit", "p2"), errElse) // the same account
		s.fake.LogIn("user-2")
		refused(begin("fitbit", "p1"), errAccount)
		s.connect(service, "fitbit", "p2", "UTC")
		s.connect(service, "oura", "p1", "")
		kept, err := service.connection(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, "p1", kept.Patient)

		for want, ask := range map[error][3]string{
			errMaker: {"jawbone", "p1", "UTC"}, errPatient: {"fitbit", "nobody", "UTC"}, errZone: {"fitbit", "p1", ""},
		} {
			_, err := service.Begin(t.Context(), ask[0], ask[1], ask[2])
			require.ErrorIs(t, err, want)
		}
		require.NoError(t, os.Remove(filepath.Join(s.dir, "wearables", "garmin.yaml")))
		_, err = service.Begin(t.Context(), "garmin", "p1", "")
		require.ErrorIs(t, err, errSetUp)
	})
}

func TestDisconnectTellsTheMakerAndDeletes(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		service := s.open()
		s.run(service)
		for n, maker := range []string{"fitbit", "oura", "garmin", "google", "withings"} {
			entered := make(chan struct{})
			s.fake.Once(makertest.Data, func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
				close(entered)
				<-r.Context().Done()
			})
			c := s.connect(service, maker, "p1", "UTC")
			<-entered // in the middle of a pull
			told, err := service.Disconnect(t.Context(), c.ID)
			require.NoError(t, err)
			require.True(t, told, maker)
			require.Equal(t, n+1, s.fake.Revoked(), maker)
			_, err = service.connection(t.Context(), c.ID)
			require.ErrorIs(t, err, errUnknown)
			_, err = service.Disconnect(t.Context(), c.ID)
			require.ErrorIs(t, err, errUnknown)
			_, err = service.Pull(t.Context(), c.ID, time.Time{})
			require.ErrorIs(t, err, errUnknown)
		}
		c := s.connect(service, "oura", "p1", "")
		s.pulled(service, c.ID, time.Time{})
		s.fake.Once(makertest.Revoke, makertest.Status(500, ""))
		told, err := service.Disconnect(t.Context(), c.ID)
		require.NoError(t, err)
		require.False(t, told, "and it is deleted all the same")
		records, err := s.trail.Latest(t.Context(), 100)
		require.NoError(t, err)
		require.Len(t, records, 12)
		for _, r := range records {
			require.NotContains(t, r.Subject, "p1")
		}
	})
}

// TestARotatedKeyOpensWhatWasResealed, and the key before opens nothing any more.
func TestARotatedKeyOpensWhatWasResealed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		before := s.open()
		c := s.connect(before, "fitbit", "p1", "UTC")
		_, err := before.Begin(t.Context(), "oura", "p1", "")
		require.NoError(t, err)
		require.NoError(t, raw.RotateKey(s.key))
		sealer, err := raw.OpenSealer(s.key)
		require.NoError(t, err)
		n, err := Reseal(t.Context(), db, sealer)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		c, err = before.connection(t.Context(), c.ID)
		require.NoError(t, err)
		_, err = before.unsealed(c)
		require.ErrorIs(t, err, raw.ErrDamaged)
		after := s.open()
		s.run(after)
		c = s.pulled(after, c.ID, time.Time{})
		require.Empty(t, c.Error)
	})
}

func TestSettingsOfAMakerAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), at("2026-03-10T08:00:00Z"))
	dir := filepath.Join(s.dir, "wearables")
	for want, lines := range map[string]string{
		"secrets is no setting":  "secrets: x",
		"redirect: want https":   "client: x\nredirect: http://clinic.example/",
		"client: the id":         "redirect: https://clinic.example/",
		"schedule: want five":    "client: x\nredirect: https://clinic.example/\nschedule: daily",
		"zone: want a name":      "client: x\nredirect: https://clinic.example/\nschedule: \"0 1 * * *\"\nzone: Moon",
		"zone: is of a schedule": "client: x\nredirect: https://clinic.example/\nzone: UTC",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "oura.yaml"), []byte(lines), 0o600))
		_, err := Read(dir, "oura")
		require.ErrorContains(t, err, strings.Replace(want, "secrets is", "field secrets is", 1))
	}
	s.settings("oura")
	secret := filepath.Join(dir, "oura.secret")
	require.NoError(t, os.Chmod(secret, 0o640)) //nolint:gosec // what is refused
	_, err := Read(dir, "oura")
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Remove(secret))
	_, err = Read(dir, "oura")
	require.ErrorContains(t, err, "oura.secret is not there")
	service := s.open()
	_, err = service.Begin(t.Context(), "oura", "p1", "")
	var refused *problem.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, problem.Invalid, refused.Kind)
	require.Len(t, ReadAll(dir), 6)
}
