package wearable_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/connectors/partner/wearable/makertest"
)

// clock is a time that stands until it is moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newClock() *clock { return &clock{time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)} }

func open(t *testing.T, f *makertest.Fake, maker string, c *clock, adjust ...func(*wearable.Config)) *wearable.Client {
	t.Helper()
	cfg := wearable.Config{
		Maker: maker, ID: makertest.Client, Secret: wearable.NewSecret(makertest.Secret + "\n"), Redirect: makertest.Redirect,
		Dial: f.Dial, Roots: f.Roots(), Now: c.Now,
	}
	for _, a := range adjust {
		a(&cfg)
	}
	client, err := wearable.New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// allow connects the account that the browser is logged in to.
func allow(t *testing.T, f *makertest.Fake, client *wearable.Client) wearable.Tokens {
	t.Helper()
	verifier := wearable.NewVerifier()
	back, err := url.Parse(f.Allow(client.AuthURL(wearable.NewVerifier(), verifier)))
	require.NoError(t, err)
	tokens, err := client.Exchange(t.Context(), back.Query().Get("code"), verifier)
	require.NoError(t, err)
	return tokens
}

// march is the window of the tests.
var march = wearable.Window{From: time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)}

// TestAuthorizationOfEveryMaker: a code becomes tokens, every feed answers them, they end and
// are refreshed twice, and are revoked.
func TestAuthorizationOfEveryMaker(t *testing.T) {
	t.Parallel()
	for _, maker := range wearable.Makers() {
		t.Run(maker, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := makertest.New(t, c.Now)
			client := open(t, f, maker, c)
			tokens := allow(t, f, client)
			if maker == "google-fit" {
				require.Empty(t, tokens.Account(), "it does not say whose account it is")
			} else {
				require.Equal(t, "user-1", tokens.Account())
			}
			for range 2 {
				require.True(t, tokens.Fresh(c.now))
				for _, feed := range client.Feeds() {
					require.Positive(t, feed.Days)
					answer, err := client.Page(t.Context(), tokens, feed, march, "")
					require.NoError(t, err, feed.Name)
					require.True(t, json.Valid(answer.Payload))
					require.Empty(t, answer.Next, feed.Name)
					require.Zero(t, answer.Wait)
				}
				c.now = c.now.Add(25 * time.Hour)
				require.False(t, tokens.Fresh(c.now))
				_, err := client.Page(t.Context(), tokens, client.Feeds()[0], march, "")
				require.ErrorIs(t, err, wearable.ErrExpired)
				before := tokens
				tokens, err = client.Refresh(t.Context(), tokens)
				require.NoError(t, err)
				require.Equal(t, before.Account(), tokens.Account())
			}
			require.NoError(t, client.Revoke(t.Context(), tokens))
			require.Equal(t, 1, f.Revoked())
			_, err := client.Page(t.Context(), tokens, client.Feeds()[0], march, "")
			require.ErrorIs(t, err, wearable.ErrExpired)
			_, err = client.Refresh(t.Context(), tokens)
			require.ErrorIs(t, err, wearable.ErrRevoked)
		})
	}
}

// TestRefreshTokensAreForOneUse where the maker says so, but for an answer that was lost.
func TestRefreshTokensAreForOneUse(t *testing.T) {
	t.Parallel()
	for maker, again := range map[string]bool{"fitbit": true, "withings": true, "google": true, "oura": false, "garmin": false} {
		c := newClock()
		f := makertest.New(t, c.Now)
		client := open(t, f, maker, c)
		tokens := allow(t, f, client)
		f.Once(makertest.Token, makertest.Lose)
		_, err := client.Refresh(t.Context(), tokens)
		require.True(t, wearable.Passing(err), "%s: %v", maker, err)
		_, err = client.Refresh(t.Context(), tokens)
		if again {
			require.NoError(t, err, maker)
		} else {
			require.ErrorIs(t, err, wearable.ErrRevoked, maker)
		}
	}
}

// TestWhatAMakerDoesWrong is told by its kind, and nothing of the answer is.
func TestWhatAMakerDoesWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   makertest.Fault
		passing bool
		refused bool
		text    string
	}{
		"busy":            {makertest.Status(429, "77"), true, false, "for 1m17s"},
		"busy for long":   {makertest.Status(429, "99999999"), true, false, "for 24h0m0s"},
		"busy until":      {makertest.Status(503, "Tue, 10 Mar 2026 08:01:00 GMT"), true, false, "for 1m0s"},
		"busy, no time":   {makertest.Status(429, ""), true, false, "for 15m0s"},
		"broken":          {makertest.Status(500, ""), true, false, "status 500"},
		"not allowed":     {makertest.Status(403, ""), false, true, "403"},
		"turned off":      {makertest.Status(410, ""), false, false, "turned this interface off"},
		"redirects":       {makertest.Status(302, ""), false, true, "status 302"},
		"hangs":           {makertest.Hang, true, false, "too long"},
		"endless":         {makertest.Endless, false, false, "limit of its size"},
		"is no JSON":      {makertest.Text("Erika Mustermann"), false, false, "not the JSON"},
		"is cut":          {makertest.Text(`{"a":`), false, false, "not the JSON"},
		"has an appendix": {makertest.Text(`{}]}{"wearable":`), false, false, "not the JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newClock()
			f := makertest.New(t, k.Now)
			tokens := allow(t, f, open(t, f, "fitbit", k))
			client := open(t, f, "fitbit", k, func(cfg *wearable.Config) {
				cfg.MaxAnswer = 1 << 20
				if name == "hangs" {
					cfg.Timeout = 100 * time.Millisecond // and nothing but hanging is asked of it
				}
			})
			f.Once(makertest.Data, c.fault)
			_, err := client.Page(t.Context(), tokens, client.Feeds()[0], march, "")
			require.ErrorContains(t, err, c.text)
			require.Equal(t, c.passing, wearable.Passing(err))
			require.Equal(t, c.refused, wearable.Refused(err))
			require.NotContains(t, err.Error(), "Erika")

			f.Once(makertest.Token, c.fault)
			_, err = client.Refresh(t.Context(), tokens)
			require.Error(t, err)
			require.Equal(t, c.passing, wearable.Passing(err), "%v", err)
			require.NotErrorIs(t, err, wearable.ErrRevoked)
			require.NotContains(t, err.Error(), "Erika")
		})
	}
}

func TestFitbitSaysWhenTheHourIsUsedUp(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := makertest.New(t, c.Now)
	client := open(t, f, "fitbit", c)
	tokens := allow(t, f, client)
	f.Once(makertest.Data, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
		w.Header().Set("Fitbit-Rate-Limit-Limit", "150")
		w.Header().Set("Fitbit-Rate-Limit-Remaining", "0")
		w.Header().Set("Fitbit-Rate-Limit-Reset", "1478")
		serve(w, r)
	})
	answer, err := client.Page(t.Context(), tokens, client.Feeds()[0], march, "")
	require.NoError(t, err)
	require.Equal(t, 1478*time.Second, answer.Wait)
}

// TestWithingsStatuses are in the body of a 200.
func TestWithingsStatuses(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := makertest.New(t, c.Now)
	client := open(t, f, "withings", c)
	tokens := allow(t, f, client)
	page := func(status string) error {
		f.Once(makertest.Data, makertest.Text(`{"status":`+status+`,"body":{},"error":"Erika Mustermann"}`))
		_, err := client.Page(t.Context(), tokens, client.Feeds()[0], march, "")
		return err
	}
	require.NoError(t, page("0"))
	require.ErrorIs(t, page("401"), wearable.ErrExpired)
	require.True(t, wearable.Passing(page("601")))
	require.True(t, wearable.Passing(page("522")))
	require.True(t, wearable.Refused(page("2553")))
	require.True(t, wearable.Refused(page("503")), "that parameters are wrong")
	require.ErrorContains(t, page("null"), "not the JSON")
	require.ErrorContains(t, page(`"0"`), "not the JSON")
}

// TestPagesFollowOneAnother by the word that each maker has for it.
func TestPagesFollowOneAnother(t *testing.T) {
	t.Parallel()
	for maker, c := range map[string]struct{ feed, path, key, first, last string }{
		"fitbit":     {"activities", "/1/user/-/activities/list.json", "offset", `{"activities":[],"pagination":{"next":"https://elsewhere.example/1/user/-/activities/list.json?offset=%s&limit=100"}}`, "100"},
		"oura":       {"heartrate", "/v2/usercollection/heartrate", "next_token", `{"data":[],"next_token":%q}`, "a b&c"},
		"google":     {"heart-rate", "/v4/users/me/dataTypes/heart-rate/dataPoints", "pageToken", `{"dataPoints":[],"nextPageToken":%q}`, "x=/+"},
		"google-fit": {"speed", "/fitness/v1/users/me/dataSources/derived:com.google.speed", "pageToken", `{"point":[],"nextPageToken":%q}`, "x"},
		"withings":   {"measures", "/measure getmeas", "offset", `{"status":0,"body":{"measuregrps":[],"more":1,"offset":%s}}`, "300"},
	} {
		k := newClock()
		f := makertest.New(t, k.Now)
		client := open(t, f, maker, k)
		tokens := allow(t, f, client)
		var got []string
		f.Serve(c.path, func(_ string, q url.Values) []byte {
			if got = append(got, q.Get(c.key)); len(got) == 1 {
				return []byte(fmt.Sprintf(c.first, c.last))
			}
			return nil
		})
		var next string
		for n := range 2 {
			for _, feed := range client.Feeds() {
				if feed.Name != c.feed {
					continue
				}
				answer, err := client.Page(t.Context(), tokens, feed, march, next)
				require.NoError(t, err, maker)
				next = answer.Next
				require.Equal(t, n == 1, next == "", maker)
			}
		}
		require.Equal(t, c.last, got[1], maker)
		for _, asked := range f.Asked(makertest.Data) {
			require.NotContains(t, asked, "elsewhere", "no link is followed")
		}
	}
}

func TestSecretsNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := makertest.New(t, c.Now)
	tokens := allow(t, f, open(t, f, "fitbit", c))
	var kept map[string]any
	require.NoError(t, json.Unmarshal(tokens.Text(), &kept))
	secret := wearable.NewSecret(makertest.Secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb, tokens) + fmt.Sprintf(verb, secret) + fmt.Sprintf(verb, wearable.Config{Secret: secret})
		for _, hidden := range []string{kept["access"].(string), kept["refresh"].(string), makertest.Secret, fmt.Sprintf("%x", makertest.Secret)} {
			require.NotContains(t, text, hidden)
		}
	}
	for _, v := range []any{tokens, secret, wearable.Config{Secret: secret}, &tokens} {
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
	again, err := wearable.ParseTokens(tokens.Text())
	require.NoError(t, err)
	require.Equal(t, tokens, again)
	_, err = wearable.ParseTokens([]byte(`{"access":""}`))
	require.Error(t, err)
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, adjust := range map[string]func(*wearable.Config){
		"maker: want fitbit": func(c *wearable.Config) { c.Maker = "jawbone" },
		"client: the id":     func(c *wearable.Config) { c.ID = "" },
		"secret: the one":    func(c *wearable.Config) { c.Secret = wearable.NewSecret(" \n") },
		"want https":         func(c *wearable.Config) { c.Redirect = "http://clinic.example/back" },
		"without a user":     func(c *wearable.Config) { c.Redirect = "https://clinic.example/back?x=1" },
	} {
		cfg := wearable.Config{Maker: "oura", ID: "id", Secret: wearable.NewSecret("s"), Redirect: "https://clinic.example/back"}
		_, err := wearable.New(cfg)
		require.NoError(t, err)
		adjust(&cfg)
		_, err = wearable.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// TestARefusedApplicationIsNoRefusedPatient: a wrong secret must not cost connections.
func TestARefusedApplicationIsNoRefusedPatient(t *testing.T) {
	t.Parallel()
	for _, maker := range wearable.Makers() {
		c := newClock()
		f := makertest.New(t, c.Now)
		tokens := allow(t, f, open(t, f, maker, c))
		wrong := open(t, f, maker, c, func(cfg *wearable.Config) { cfg.Secret = wearable.NewSecret("of another application") })
		_, err := wrong.Refresh(t.Context(), tokens)
		require.ErrorIs(t, err, wearable.ErrClient, maker)
		require.NotContains(t, err.Error(), "another application")
	}
}
