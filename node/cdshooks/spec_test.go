package cdshooks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/cdshooks"
)

// checkAnswer says what is wrong with the answer of a service, by the tables of CDS Hooks
// 2.0, "CDS Service Response".
func checkAnswer(text []byte) error {
	var a struct {
		Cards *[]struct {
			UUID        string
			Summary     string
			Indicator   string
			Source      struct{ Label string }
			Suggestions []struct{ Label, UUID string }
			Behavior    string                                   `json:"selectionBehavior"`
			Overrides   []struct{ Code, System, Display string } `json:"overrideReasons"`
			Links       []struct {
				Label, URL, Type string
				AppContext       *string
			}
		}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return err
	}
	if a.Cards == nil {
		return errors.New("no cards")
	}
	for _, c := range *a.Cards {
		switch {
		case c.Summary == "" || utf8.RuneCountInString(c.Summary) >= 140:
			return errors.New("summary")
		case !slices.Contains([]string{"info", "warning", "critical"}, c.Indicator):
			return errors.New("indicator")
		case c.Source.Label == "":
			return errors.New("source")
		case len(c.Suggestions) > 0 && !slices.Contains([]string{"at-most-one", "any"}, c.Behavior):
			return errors.New("selectionBehavior")
		}
		for _, s := range c.Suggestions {
			if s.Label == "" {
				return errors.New("suggestion")
			}
		}
		for _, o := range c.Overrides {
			if o.Code == "" || o.System == "" || o.Display == "" {
				return errors.New("overrideReasons")
			}
		}
		for _, l := range c.Links {
			u, err := url.Parse(l.URL)
			if err != nil || !u.IsAbs() || l.Label == "" || l.Type != "smart" && (l.Type != "absolute" || l.AppContext != nil) {
				return errors.New("links")
			}
		}
	}
	return nil
}

// checkDiscovery is checkAnswer of the discovery document.
func checkDiscovery(text []byte) error {
	var d struct {
		Services *[]struct {
			Hook, Description, ID string
			Prefetch              map[string]string
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if d.Services == nil {
		return errors.New("no services")
	}
	for _, s := range *d.Services {
		if s.Hook == "" || s.Description == "" || s.ID == "" {
			return errors.New("a required field is missing")
		}
	}
	return nil
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(text)
}

// TestAnswersOfTheSpecification makes sure that the checks of our own answers can tell.
func TestAnswersOfTheSpecification(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"specification__current.09": "",
		"specification__current.16": "",
		"docs__examples.03":         "",
		"docs__quickstart.01":       "indicator", // success is none of the three
		"specification__current.17": "indicator", // has none
	} {
		err := checkAnswer([]byte(example(t, "answers/"+name+".json")))
		if says == "" {
			require.NoError(t, err, name)
		} else {
			require.EqualError(t, err, says, name)
		}
	}
	for _, name := range []string{"specification__current.00", "specification__current.23", "docs__quickstart.00"} {
		require.NoError(t, checkDiscovery([]byte(example(t, "answers/"+name+".json"))), name)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	a := s.do("GET", cdshooks.Path, "")
	require.Equal(t, 200, a.status, a.body)
	require.NoError(t, checkDiscovery([]byte(a.body)))
	var d struct {
		Services []struct {
			Hook, ID string
			Prefetch map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &d))
	require.Len(t, d.Services, 2)
	for i, want := range [][2]string{{"patient-view", cdshooks.PatientView}, {"order-select", cdshooks.OrderSelect}} {
		require.Equal(t, want, [2]string{d.Services[i].Hook, d.Services[i].ID})
		require.Equal(t, map[string]string{"patient": "Patient/{{context.patientId}}"}, d.Services[i].Prefetch)
	}
	s.refused(s.do("POST", cdshooks.Path, "{}"), 405, "method")
	s.refused(s.do("GET", viewPath, ""), 405, "method")
	s.refused(s.do("POST", cdshooks.Path+"/another", "{}"), 404, "no such service")
	s.refused(s.do("POST", cdshooks.Path+"/another/feedback", "{}"), 404, "no such service")
	s.refused(s.do("GET", cdshooks.Path+"/a/b/c", ""), 404, "no such service")
}

// TestRequestsOfTheSpecification sends every request of the specification's pages that is
// of our two hooks, and some that are not.
func TestRequestsOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	s.diabetic("MRI-59879846")
	for name, c := range map[string]struct {
		path, says string
		cards      int
	}{
		"specification__current.01": {viewPath, "", 1},
		"docs__quickstart.02":       {viewPath, "", 1},
		"docs__examples.02":         {selectPath, "", 1},
		"docs__examples.00":         {selectPath, "hook is not that of the service", 0}, // order-sign
		"specification__current.22": {viewPath, "context.patientId", 0},                 // is abridged
	} {
		a := s.do("POST", c.path, example(t, "requests/"+name+".json"))
		if c.says != "" {
			s.refused(a, 400, c.says)
			continue
		}
		require.Len(t, s.cards(a), c.cards, name)
	}
	// The pages of the hooks have contexts only.
	for name, hook := range map[string]string{
		"patient-view.context.00": "patient-view", "patient-view.context.01": "patient-view",
		"order-select.context.00": "order-select", "order-select.context.01": "order-select", "order-select.context.02": "order-select",
	} {
		var page struct{ Context json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(example(t, "requests/"+name+".json")), &page))
		body := encode(object{"hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": page.Context})
		require.Len(t, s.cards(s.do("POST", cdshooks.Path+"/trialmesh-"+hook, body)), 1, name)
	}
	s.quiet("MRI-59879846")
}

// TestDraftOrdersOfTheSpecification looks at what is read of them, in FHIR R4, STU3 and
// DSTU2.
func TestDraftOrdersOfTheSpecification(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		s := newClinic(t)
		s.codes["617993"] = vocab.Concept{ID: metformin, Domain: "Drug"} // taken for the drug of the trial
		var page struct{ Context json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(example(t, fmt.Sprintf("requests/order-select.context.%02d.json", i))), &page))
		body := encode(object{"hook": "order-select", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": page.Context})
		cards := s.cards(s.do("POST", selectPath, body))
		require.Len(t, cards, 1)
		require.Contains(t, s.asked, "http://www.nlm.nih.gov/research/umls/rxnorm|617993", "page %d", i)
		require.Contains(t, cards[0].Detail, `- Metformin \<any\> (by an order in draft)`, "page %d", i)
		require.NotContains(t, strings.Join(s.asked, " "), "226211001", "what a patient shall eat is no order of ours")
	}
}

func TestFeedbackOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	shown := s.cards(s.do("POST", viewPath, view(nil, nil)))[0].UUID
	for i, want := range []cdshooks.Feedback{
		{Accepted: 1, Reasons: map[string]int64{}},
		{Accepted: 1, Reasons: map[string]int64{}}, // was overridden the year before
		{Accepted: 1, Reasons: map[string]int64{}},
	} {
		text := example(t, fmt.Sprintf("feedback/specification__current.%02d.json", i))
		var f struct{ Feedback []struct{ Card string } }
		require.NoError(t, json.Unmarshal([]byte(text), &f))
		s.refused(s.do("POST", viewPath+"/feedback", text), 400, "a card is none that this service showed")
		a := s.do("POST", viewPath+"/feedback", strings.ReplaceAll(text, f.Feedback[0].Card, shown))
		require.Equal(t, 200, a.status, a.body)
		counts, err := s.clients.CountFeedback(t.Context())
		require.NoError(t, err)
		want.Service, want.Trial, want.Shown = cdshooks.PatientView, "glucose-1", 1
		require.Equal(t, []cdshooks.Feedback{want}, counts, "example %d", i)
	}
	s.quiet("A comment entered by the clinician.")
}

// TestTokenOfTheSpecification checks the one token that it prints, by the key beside it,
// at the only time at which that was good.
func TestTokenOfTheSpecification(t *testing.T) {
	t.Parallel()
	const its, at = "https://fhir-ehr.example.com/", "https://cds.example.org/cds-services/some-service"
	s := newClinic(t)
	token := "Bearer " + strings.TrimSpace(example(t, "token.jwt"))
	end := time.Unix(1422568860, 0)
	verify := func(address string, now time.Time) error {
		_, err := s.clients.Verify(t.Context(), token, address, now)
		return err
	}
	keys := []byte(example(t, "token.jwks.json"))
	require.ErrorContains(t, verify(at, end.Add(-time.Minute)), "issuer is not registered")
	s.register(cdshooks.Client{Issuer: its, Keys: keys})
	require.ErrorContains(t, verify(at, end.Add(-time.Minute)), "jku is not registered")
	s.register(cdshooks.Client{Issuer: its, KeyURLs: []string{"https://fhir-ehr.example.com/jwk_uri"}})
	s.web = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() == "https://fhir-ehr.example.com/jwk_uri" {
			_, _ = w.Write(keys)
		}
	}
	require.NoError(t, verify(at, end.Add(-time.Minute)))
	require.ErrorContains(t, verify(at+"/feedback", end.Add(-time.Minute)), "aud")
	require.ErrorContains(t, verify(at, end.Add(time.Hour)), "expired")
	require.ErrorContains(t, verify(at, end.Add(-time.Hour)), "more than five minutes", "it was made to hold for years")
}
