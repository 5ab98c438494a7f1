package fhirserver

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
)

var noticeID = Identifier{System: "urn:x", Value: "a|b&c"}

// says answers with a status, a text and headers, by name and value.
func says(status int, text string, header ...string) servertest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// hangsUp gives no answer.
func hangsUp(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }

func TestCreateIsConditional(t *testing.T) {
	t.Parallel()
	s, client, _ := pair(t, servertest.Config{})
	s.Once(servertest.Pages, func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"resourceType":"Task"}` || r.Header.Get("Content-Type") != "application/fhir+json" {
			t.Errorf("body: %s %v", body, err)
		}
		if got := r.Header.Get("If-None-Exist"); got != "identifier=urn%3Ax%7Ca%7Cb%26c" {
			t.Errorf("If-None-Exist: %s", got)
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			t.Error("no token")
		}
		w.Header().Set("Location", "https://elsewhere.example/r4/Task/17/_history/1")
		w.WriteHeader(http.StatusCreated)
	})
	got, err := client.Create(t.Context(), "Task", noticeID, []byte(`{"resourceType":"Task"}`), false)
	require.NoError(t, err)
	require.Equal(t, Created{Reference: "Task/17"}, got)
	require.Equal(t, []string{"POST Task"}, s.Asked(servertest.Pages))
}

func TestWhatACreateIsCalled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer servertest.Fault
		want   Created
	}{
		"by a version":           {says(201, "", "Location", "Task/1/_history/2"), Created{"Task/1", false}},
		"by its own address":     {says(200, "", "Location", "https://x.example/Task/1"), Created{"Task/1", true}},
		"by its body":            {says(200, `{"resourceType":"Task","id":"3"}`), Created{"Task/3", true}},
		"not at all":             {says(201, ""), Created{}},
		"another type":           {says(201, `{"resourceType":"Patient","id":"3"}`, "Location", "Patient/1"), Created{}},
		"what is no id":          {says(201, `{"resourceType":"Task","id":"a b"}`, "Location", "Task/a b"), Created{}},
		"a body that breaks off": {says(201, "x", "Location", "Task/1", "Content-Length", "100"), Created{"Task/1", false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{})
			s.Once(servertest.Pages, c.answer)
			got, err := client.Create(t.Context(), "Task", noticeID, []byte(`{}`), false)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// TestRepeatAsksFirst at a server that does not say that it creates conditionally.
func TestRepeatAsksFirst(t *testing.T) {
	t.Parallel()
	const (
		states  = `{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[{"type":"Task","conditionalCreate":true}]}]}`
		silent  = `{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[{"type":"Flag","conditionalCreate":true},{"type":"Task"}]}]}`
		ours    = `{"resourceType":"Task","id":"7","identifier":[{"system":"urn:y","value":"1"},{"system":"urn:x","value":"a|b&c"}]}`
		theirs  = `{"resourceType":"Task","id":"8","identifier":[{"system":"urn:x","value":"other"}]}`
		inABox  = `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":`
		close   = `}]}`
		nothing = `{"resourceType":"Bundle","type":"searchset"}`
	)
	for name, c := range map[string]struct {
		answers []servertest.Fault
		want    Created
		asked   []string
		err     string
	}{
		"it does":      {[]servertest.Fault{says(200, states), says(200, "", "Location", "Task/7")}, Created{"Task/7", true}, []string{"GET metadata", "POST Task"}, ""},
		"it has it":    {[]servertest.Fault{says(200, silent), says(200, inABox+ours+close)}, Created{"Task/7", true}, []string{"GET metadata", "GET Task?identifier=urn%3Ax%7Ca%7Cb%26c"}, ""},
		"it has not":   {[]servertest.Fault{says(200, silent), says(200, nothing), says(201, "", "Location", "Task/9")}, Created{"Task/9", false}, []string{"GET metadata", "GET Task?identifier=urn%3Ax%7Ca%7Cb%26c", "POST Task"}, ""},
		"it says none": {[]servertest.Fault{says(404, ""), says(200, inABox+ours+close)}, Created{"Task/7", true}, []string{"GET metadata", "GET Task?identifier=urn%3Ax%7Ca%7Cb%26c"}, ""},
		"it gives what nobody asked for": {
			[]servertest.Fault{says(200, silent), says(200, inABox+theirs+close)}, Created{}, []string{"GET metadata", "GET Task?identifier=urn%3Ax%7Ca%7Cb%26c"}, "does not search by identifier",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{})
			for _, a := range c.answers {
				s.Once(servertest.Pages, a)
			}
			got, err := client.Create(t.Context(), "Task", noticeID, []byte(`{}`), true)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
				require.True(t, Refused(err))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.asked, s.Asked(servertest.Pages))
		})
	}
}

func TestCreateThatGoesWrong(t *testing.T) {
	t.Parallel()
	away := stranger(t)
	for name, c := range map[string]struct {
		kind              string
		fault             servertest.Fault
		want              string
		refused, stumbled bool
	}{
		"refused":                 {servertest.Pages, says(422, `{"issue":[{"code":"invariant","diagnostics":"Erika","expression":["Task.intent","Task.input[0].value","Task.where(x='Erika')","Erika"]}]}`), "status 422 (invariant) at Task.intent, Task.input[0].value", true, false},
		"several have it":         {servertest.Pages, servertest.Outcome(412, "multiple-matches"), "status 412 (multiple-matches)", true, false},
		"stumbles":                {servertest.Pages, servertest.Outcome(500, "exception"), "status 500", false, true},
		"busy":                    {servertest.Pages, servertest.Busy(503, "30"), "status 503", false, false},
		"forbidden":               {servertest.Pages, servertest.Outcome(403, "forbidden"), "status 403", false, false},
		"accepted only":           {servertest.Pages, says(202, ""), "status 202", false, false},
		"no answer":               {servertest.Pages, hangsUp, "out of reach", false, false},
		"the key is not known":    {servertest.Token, servertest.Outcome(400, "invalid_client"), "request for a token", false, false},
		"led to a stranger":       {servertest.Pages, says(307, "", "Location", away), "leads to", false, false},
		"led to where it is lost": {servertest.Pages, says(302, "", "Location", "/r4/Task"), "redirects what is sent", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, clock := pair(t, servertest.Config{}, func(cfg *Config) { cfg.Tries = 3 })
			for range 3 {
				s.Once(c.kind, c.fault)
			}
			_, err := client.Create(t.Context(), "Task", noticeID, []byte(`{"name":"Erika"}`), false)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "Erika")
			require.Equal(t, c.refused, Refused(err))
			require.Equal(t, c.stumbled, Stumbled(err))
			require.LessOrEqual(t, len(s.Asked(servertest.Pages)), 1, "a resource is sent once")
			require.Empty(t, clock.waited)
			var status *StatusError
			if name == "busy" {
				require.ErrorAs(t, err, &status)
				require.Equal(t, 30*time.Second, status.Wait)
				require.True(t, Passing(err))
			}
		})
	}
}

func TestScopesOfWriting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		capabilities []string
		want         string
	}{
		"the second version": {nil, "system/Communication.crs system/Task.crs"},
		"the first version":  {[]string{"permission-v1"}, "system/Communication.read system/Communication.write system/Task.read system/Task.write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{Capabilities: c.capabilities}, func(cfg *Config) { cfg.Creates = []string{"Communication", "Task"} })
			asked := make(chan string, 1)
			s.Once(servertest.Token, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
				serve(w, r)
				asked <- r.PostForm.Get("scope")
			})
			s.Once(servertest.Pages, says(201, ""))
			_, err := client.Create(t.Context(), "Task", noticeID, []byte(`{}`), false)
			require.NoError(t, err)
			require.Equal(t, c.want, <-asked)
		})
	}
}

func TestCreateNeedsATypeAndAnIdentifier(t *testing.T) {
	t.Parallel()
	client, err := New(Config{Base: "https://fhir.example"})
	require.NoError(t, err)
	for _, c := range []struct {
		kind string
		id   Identifier
	}{{"../x", noticeID}, {"Task", Identifier{Value: "1"}}, {"Task", Identifier{System: "urn:x"}}} {
		_, err := client.Create(t.Context(), c.kind, c.id, nil, false)
		require.Error(t, err)
	}
}
