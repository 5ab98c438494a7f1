package wearable

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/wearable/makertest"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// during answers with an example where a path of Fitbit's asks for a day.
func during(day string, text []byte) makertest.Page {
	return func(path string, _ url.Values) []byte {
		parts := strings.Split(strings.TrimSuffix(path, ".json"), "/")
		for i, p := range parts[:len(parts)-1] {
			if p != "date" {
				continue
			}
			last := parts[i+2]
			if last == "1d" {
				last = parts[i+1]
			}
			if parts[i+1] <= day && day <= last {
				return text
			}
		}
		return nil
	}
}

// TestExamplesReachTheStore: what others expect of real answers (see facts_test.go of
// connectors/source/wearable) is in the series of the patient after a pull, and once only
// after another.
func TestExamplesReachTheStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		maker, zone, now, since string
		pages                   map[string]makertest.Page
		want                    []string
		points                  map[string]int // of a code
	}{
		"fitbit": {
			"fitbit", "UTC", "2015-08-25T20:00:00Z", "2015-07-20T00:00:00Z",
			map[string]makertest.Page{
				"/1/user/-/body/log/weight/":  during("2015-07-21", example(t, "fitbit/fitbit-body-log-weight.json")),
				"/1/user/-/activities/heart/": during("2015-08-21", example(t, "fitbit/fitbit-activities-heart-1d-1m-intraday.json")),
				"/1/user/-/activities/steps/": during("2015-08-24", example(t, "fitbit/fitbit-activities-steps-timeseries.json")),
				"/1/user/-/activities/list.json": func(string, url.Values) []byte {
					return example(t, "fitbit/fitbit-activities-date-single-in-activities-list.json")
				},
				"/1.2/user/-/sleep/": during("2015-08-01", example(t, "fitbit/fitbit-sleep-date.json")),
			},
			[]string{
				"29463-7 56.7 kg at 2015-05-13T18:28:59Z", "29463-7 55.9 kg at 2015-05-14T11:51:57Z", "29463-7 58.1 kg at 2015-05-22T18:12:06Z",
				"29463-7 57.2 kg at 2015-05-24T15:15:25Z", "8867-4 64 /min at 2015-08-21T00:01:00Z",
				"41950-7 175 {steps}/(24.h) at 2015-08-23T00:00:00Z", "41950-7 2937 {steps}/(24.h) at 2015-08-24T00:00:00Z",
				"physical-activity/kcal_burned 128 kcal at 2014-06-19T09:00:00Z", "physical-activity/distance 3360 m at 2014-06-19T09:00:00Z",
				"93832-4 112 min at 2016-12-13T01:16:00Z",
			},
			map[string]int{"29463-7": 4, "39156-5": 4, "8867-4": 5, "41950-7": 2},
		},
		"google fit": {
			"google-fit", "", "2015-07-11T20:00:00Z", "",
			map[string]makertest.Page{
				"/fitness/v1/users/me/dataSources/derived:com.google.step_count.delta": inWindow("2015-07-10T12:00:00Z", example(t, "google/googlefit-merge-step-deltas.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.heart_rate.bpm":   inWindow("2015-07-10T12:00:00Z", example(t, "google/googlefit-merge-heart-rate.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.weight":           inWindow("2015-07-08T12:00:00Z", example(t, "google/googlefit-merge-weight.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.height":           inWindow("2015-07-08T12:00:00Z", example(t, "google/googlefit-merge-height.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.calories":         inWindow("2015-07-08T12:00:00Z", example(t, "google/googlefit-merge-calories-expended.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.activity":         inWindow("2015-07-07T14:00:00Z", example(t, "google/googlefit-merge-activity-segments.json")),
				"/fitness/v1/users/me/dataSources/derived:com.google.speed":            inWindow("2015-07-07T14:00:00Z", example(t, "google/googlefit-merge-speed.json")),
			},
			[]string{
				"55423-8 17 {steps} at 2015-07-10T21:58:17Z", "8867-4 58 /min at 2015-07-10T14:34:32Z", "29463-7 72 kg at 2015-02-17T16:57:13Z",
				"8302-2 182.879900932312 cm at 2015-07-08T03:17:06Z", "55424-6 200 kcal at 2015-07-07T13:30:00Z",
				"physical-activity 30 min at 2015-07-07T13:30:00Z", "speed 2.25 m/s at 2017-10-04T14:05:53Z",
			},
			map[string]int{"55423-8": 3, "8867-4": 2, "29463-7": 3, "8302-2": 2, "speed": 2},
		},
		"oura": {
			"oura", "Europe/Helsinki", "2021-11-27T20:00:00Z", "",
			map[string]makertest.Page{
				"/v2/usercollection/daily_activity": func(_ string, q url.Values) []byte {
					if q.Get("start_date") <= "2021-11-26" && q.Get("end_date") > "2021-11-26" {
						return example(t, "oura/v2-daily_activity.json")
					}
					return nil
				},
				"/v2/usercollection/heartrate": func(_ string, q url.Values) []byte {
					if q.Get("start_datetime") <= "2021-11-20" && q.Get("end_datetime") > "2021-11-20" {
						return example(t, "oura/v2-heartrate.json")
					}
					return nil
				},
			},
			[]string{"41950-7 18430 {steps}/(24.h) at 2021-11-26T08:00:00Z", "oura/activity-score 82 {score} at 2021-11-26T08:00:00Z", "8867-4 60 /min at 2021-01-01T01:02:03Z"},
			map[string]int{"41950-7": 1, "8867-4": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWholeSite(t, sqltest.SQLite(t), at(c.now))
			for path, page := range c.pages {
				s.fake.Serve(path, page)
			}
			service := s.open()
			s.run(service)
			conn := s.connect(service, c.maker, "p1", c.zone)
			conn = s.pulled(service, conn.ID, time.Time{})
			require.Empty(t, conn.Error)
			if c.since != "" {
				s.clock.pass(time.Minute)
				_, err := service.Pull(t.Context(), conn.ID, at(c.since))
				require.NoError(t, err)
				conn = s.pulled(service, conn.ID, conn.Ended)
				require.Empty(t, conn.Error)
			}
			jobs := clean(s.loaded())
			facts := s.facts("p1")
			for _, want := range c.want {
				require.Contains(t, facts, want)
			}
			for code, n := range c.points {
				require.Equal(t, n, count(facts, code+" "), code)
			}
			require.Empty(t, s.facts("p2"))

			s.again(service, conn)
			require.Equal(t, jobs, clean(s.loaded()), "what was fetched again is the same bytes and no new load, if that had no problem")
			require.ElementsMatch(t, facts, s.facts("p1"))
			for _, job := range s.loaded() {
				require.NotContains(t, job.Name, "p1", "a name says nothing of a patient")
				require.NotEqual(t, ingest.Dead, job.State, job.Error)
			}
		})
	}
}

// TestPagesOfAWindowAreOneDocument of the patient. The answers are ours, by the words of the
// makers' documents: nobody else's are at hand.
func TestPagesOfAWindowAreOneDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), at("2026-03-01T20:00:00Z"))
	const first = `{"status":0,"body":{"measuregrps":[{"date":1772352000}],"more":1,"offset":40}}`
	const second = `{"status":0,"body":{"measuregrps":[{"date":1772352060}],"more":0,"offset":0}}`
	s.fake.Serve("/measure getmeas", func(_ string, q url.Values) []byte {
		switch {
		case q.Get("enddate") < "1772352000" || q.Get("startdate") > "1772352000":
			return nil
		case q.Get("offset") == "40":
			return []byte(second)
		}
		return []byte(first)
	})
	service := s.open()
	s.run(service)
	c := s.connect(service, "withings", "p1", "")
	require.Empty(t, s.pulled(service, c.ID, time.Time{}).Error)
	var texts []string
	for _, text := range s.memory.texts {
		texts = append(texts, text)
	}
	require.Contains(t, texts, `{"wearable":"withings","patient":"p1","payloads":[`+first+","+second+"]}\n")
}

// inWindow answers with an example where a path of Google Fit's asks for a moment.
func inWindow(moment string, text []byte) makertest.Page {
	nanos := at(moment).UnixNano()
	return func(path string, _ url.Values) []byte {
		from, to := span(path)
		if from <= nanos && nanos < to {
			return text
		}
		return nil
	}
}

// clean counts the loads without a problem.
func clean(jobs []ingest.Job) (n int) {
	for _, j := range jobs {
		if j.State == ingest.Completed {
			n++
		}
	}
	return n
}

func count(facts []string, begin string) (n int) {
	for _, f := range facts {
		if strings.HasPrefix(f, begin) {
			n++
		}
	}
	return n
}

// TestPullsGoBySchedule and overlap: an earlier day is asked for again, in the same windows.
func TestPullsGoBySchedule(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		s.settings("fitbit", `schedule: "30 3 * * *"`, "zone: Europe/Berlin")
		service := s.open()
		s.run(service)
		c := s.connect(service, "fitbit", "p1", "Europe/Berlin")
		require.Equal(t, Connected, c.State)
		c = s.pulled(service, c.ID, time.Time{})
		require.Empty(t, c.Error)
		require.Equal(t, c.Ended, c.Success)
		heart := s.memory.accepted("-heart-")
		require.Equal(t, "fitbit-1-heart-2026-02-08-1", heart[0])
		require.Equal(t, "fitbit-1-heart-2026-03-10-1", heart[len(heart)-1])
		require.Len(t, heart, 31)
		for _, text := range s.memory.texts {
			require.True(t, strings.HasPrefix(text, `{"wearable":"fitbit","patient":"p1","timezone":"Europe/Berlin","payloads":[`), text)
		}
		list, err := service.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, at("2026-03-11T02:30:00Z"), list[0].Next.UTC())

		texts := len(s.memory.texts)
		s.clock.pass(24 * time.Hour)
		service.rouse()
		next := s.pulled(service, c.ID, c.Ended)
		require.Empty(t, next.Error)
		again := s.memory.accepted("-heart-")[31:]
		require.Equal(t, "fitbit-1-heart-2026-03-03-1", again[0], "a week again")
		require.Equal(t, "fitbit-1-heart-2026-03-11-1", again[len(again)-1])
		require.Len(t, s.memory.texts, texts, "and nothing new is the same bytes")
		require.Len(t, s.fake.Asked(makertest.Token), 2, "tokens end after 8 hours")
	})
}

// TestTokensAreDurableBeforeTheyAreUsed: whatever token comes with a request for data is the
// one in the database.
func TestTokensAreDurableBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		service := s.open()
		s.run(service)
		c := s.connect(service, "oura", "p1", "")
		c = s.pulled(service, c.ID, time.Time{})
		s.clock.pass(48 * time.Hour)
		s.fake.Once(makertest.Data, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
			kept, err := service.connection(t.Context(), c.ID)
			if err == nil {
				tokens, bad := service.unsealed(kept)
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				if bad != nil || !bytes.Contains(tokens.Text(), []byte(token)) {
					t.Errorf("a token was used that is not kept: %v", bad)
				}
			}
			serve(w, r)
		})
		c = s.again(service, c)
		require.Empty(t, c.Error)
		require.Len(t, s.fake.Asked(makertest.Token), 2)
	})
}

// TestTwoProcessesRefreshOnce: at a maker whose refresh tokens are for one use, a second
// refresh with the same would end the connection.
func TestTwoProcessesRefreshOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		one, two := s.open(), s.open()
		c := s.connect(one, "oura", "p1", "")
		s.run(one)
		s.run(two)
		for n := range 5 {
			c = s.pulled(two, c.ID, c.Ended)
			require.Empty(t, c.Error)
			s.clock.pass(48 * time.Hour)
			require.Len(t, s.fake.Asked(makertest.Token), n+1)
			_, err := one.Pull(t.Context(), c.ID, time.Time{})
			require.NoError(t, err)
			one.rouse()
			two.rouse()
		}
	})
}

// TestKilledWithTheAnswer: a process that dies with the maker's answer to a refresh loses the
// connection only where the maker gives it once.
func TestKilledWithTheAnswer(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		for maker, state := range map[string]State{"fitbit": Connected, "oura": Over} {
			first := s.open()
			stop := s.run(first)
			c := s.connect(first, maker, "p-"+maker, "Europe/Berlin")
			c = s.pulled(first, c.ID, time.Time{})
			stop()
			s.clock.pass(48 * time.Hour)

			dying := s.open(func(cfg *Config) { cfg.Sealer = deadSealer{cfg.Sealer} })
			stop = s.run(dying)
			_, err := dying.Pull(t.Context(), c.ID, time.Time{})
			require.NoError(t, err)
			c = s.pulled(dying, c.ID, c.Ended)
			require.Contains(t, c.Error, "killed", maker)
			stop()

			next := s.open()
			stop = s.run(next)
			c = s.again(next, c)
			stop()
			require.Equal(t, state, c.State, "%s: %s", maker, c.Error)
		}
	})
}

// TestAProcessThatDiedGoesOn with the window after the last that was acknowledged.
func TestAProcessThatDiedGoesOn(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, at("2026-03-10T08:00:00Z"))
		first := s.open()
		c := s.connect(first, "withings", "p1", "")
		reached := make(chan struct{})
		s.memory.fail = func(ctx context.Context, name string) error {
			if strings.Contains(name, "-intraday-2026-02-20-") {
				close(reached)
				<-ctx.Done()
			}
			return ctx.Err()
		}
		stop := s.run(first)
		<-reached
		stop()
		s.memory.fail, s.memory.names = nil, nil
		until, err := first.progress(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, at("2026-02-20T00:00:00Z"), until["intraday"].UTC())
		require.NotContains(t, until, "sleep")
		died, err := first.connection(t.Context(), c.ID)
		require.NoError(t, err)
		require.True(t, died.Ended.IsZero())

		next := s.open()
		s.run(next)
		c = s.pulled(next, c.ID, time.Time{})
		require.Empty(t, c.Error)
		intraday := s.memory.accepted("-intraday-")
		require.Equal(t, "withings-1-intraday-2026-02-13-1", intraday[0], "with the overlap")
		require.Len(t, s.memory.accepted("-sleep-"), 2, "and what never came")
	})
}

// TestTheFilesOfADatabaseHaveNoToken in the clear.
func TestTheFilesOfADatabaseHaveNoToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := sqltest.Open(t, "sqlite:"+filepath.Join(dir, "node.db"))
	s := newSite(t, db, at("2026-03-10T08:00:00Z"))
	service := s.open()
	c := s.connect(service, "fitbit", "p1", "UTC")
	_, err := service.Begin(t.Context(), "oura", "p1", "")
	require.NoError(t, err)
	tokens, err := service.unsealed(c)
	require.NoError(t, err)
	parts := strings.Split(string(tokens.Text()), `"`)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		for _, p := range parts {
			if len(p) >= 20 && !strings.HasPrefix(p, "2026-") {
				require.NotContains(t, string(text), p)
			}
		}
		require.NotContains(t, string(text), makertest.Secret)
	}
}
