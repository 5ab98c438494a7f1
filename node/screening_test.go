package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/screen"
	wire "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// The trial of the test is for who has had viral sinusitis and, as far as that is told,
// no acute bronchitis. Its codes in SNOMED and OMOP:
const (
	sinusitisCode, sinusitis   = "444814009", 40481087
	bronchitisCode, bronchitis = "10509002", 260139
)

// What is loaded: so many patients with short records, in bytes of their bundles.
const (
	screenedPatients = 14
	smallBundle      = 600 << 10
)

// TestAnEHRHearsOfEligiblePatients goes the whole way: Synthea's patients are loaded into
// a running node, the operator adds a rule and an EHR beside it, and the EHR asks for each
// patient. Who is eligible is found in the bundles themselves.
func TestAnEHRHearsOfEligiblePatients(t *testing.T) {
	t.Parallel()
	const base = "https://trials.north.example"
	dir, did := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, Circuits: t.TempDir(), Secure: Secure{URL: base}}
	words := t.TempDir()
	require.NoError(t, testdata.ExtractVocabulary(words))
	_, err := LoadVocabulary(t.Context(), cfg, os.DirFS(words), nil)
	require.NoError(t, err)
	n, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})

	var everybody, eligible []string
	for f, err := range testdata.Hospitals()[0].Files(t.Context()) {
		require.NoError(t, err)
		if f.Infrastructure() || len(f.Data) > smallBundle {
			continue
		}
		_, _, err := n.ingest.Accept(t.Context(), f.Name, bytes.NewReader(f.Data))
		require.NoError(t, err)
		id, may := mayBeEligible(t, f.Data)
		everybody = append(everybody, id)
		if may {
			eligible = append(eligible, id)
		}
		if len(everybody) == screenedPatients {
			break
		}
	}
	require.Greater(t, len(eligible), 2)
	require.Greater(t, len(everybody)-len(eligible), 2)
	require.Eventually(t, func() bool {
		jobs, err := n.ingest.Jobs(t.Context(), 0, 1000)
		require.NoError(t, err)
		return !slices.ContainsFunc(jobs, func(j ingest.Job) bool { return !j.State.Ended() })
	}, 2*time.Minute, 20*time.Millisecond)

	e := newEHR(t, n.URL(), base)
	beside, err := OpenScreening(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, beside.Close()) }()
	rule, err := screen.Parse(fmt.Appendf(nil, `{"trial":"sinus-1","title":"Sinusitis","contact":"Office","link":"https://trials.example/sinus-1",
		"criteria":[{"name":"Viral sinusitis","cohort":%s},{"name":"Acute bronchitis","exclude":true,"cohort":%s}]}`, conditionCohort(sinusitis), conditionCohort(bronchitis)))
	require.NoError(t, err)
	require.NoError(t, beside.Rules.Add(t.Context(), rule, time.Now()))
	require.Equal(t, 401, e.view(t, everybody[0]).status, "not registered yet")
	require.NoError(t, beside.Clients.Add(t.Context(), cdshooks.Client{Issuer: e.issuer, Keys: e.public(t)}, time.Now()))

	var told []string
	for _, id := range everybody {
		a := e.view(t, id)
		require.Equal(t, 200, a.status, a.body)
		if len(a.Cards) > 0 {
			require.Len(t, a.Cards, 1)
			require.Contains(t, a.Cards[0].Detail, "- Viral sinusitis\n")
			told = append(told, id)
		}
	}
	require.Equal(t, eligible, told)
	require.Empty(t, e.view(t, "nobody").Cards)

	// One of them refuses the trial, another to be asked at all.
	for i, id := range []trial.ID{"sinus-1", consent.SiteResearch} {
		_, err := n.RecordConsent(t.Context(), eligible[i], refusalOf(t, id, did))
		require.NoError(t, err)
		require.Empty(t, e.view(t, eligible[i]).Cards, id)
	}
	require.Len(t, e.view(t, eligible[2]).Cards, 1)

	counts, err := beside.Clients.CountFeedback(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(len(eligible)+1), counts[0].Shown)
	trail, err := n.trail.Latest(t.Context(), 10_000)
	require.NoError(t, err)
	screened := 0
	for _, r := range trail {
		if r.Event == audit.PatientScreened {
			screened++
		}
		for _, id := range everybody {
			require.NotContains(t, r.Subject, id)
		}
	}
	require.Equal(t, len(everybody)+4, screened)

	require.NoError(t, beside.Rules.Remove(t.Context(), "sinus-1", time.Now()))
	require.Empty(t, e.view(t, eligible[2]).Cards)
}

func TestAHeldNodeProposesNobody(t *testing.T) {
	t.Parallel()
	n := new(Node)
	n.held.Store(true)
	s := screener{n, nil}
	_, err := s.Screen(t.Context(), screen.Case{Patient: "p"}, time.Now())
	require.ErrorIs(t, err, errHeld, "refusals may be forgotten")
}

// mayBeEligible reads the patient of a bundle and whether they may be eligible.
func mayBeEligible(t *testing.T, bundle []byte) (id string, may bool) {
	t.Helper()
	var b struct {
		Entry []struct {
			Resource struct {
				ResourceType, ID string
				Deceased         string `json:"deceasedDateTime"`
				Code             struct{ Coding []struct{ Code string } }
			}
		}
	}
	require.NoError(t, json.Unmarshal(bundle, &b))
	has, dead := map[string]bool{}, false
	for _, e := range b.Entry {
		switch r := e.Resource; r.ResourceType {
		case "Patient":
			id, dead = r.ID, r.Deceased != ""
		case "Condition":
			for _, c := range r.Code.Coding {
				has[c.Code] = true
			}
		}
	}
	return id, has[sinusitisCode] && !has[bronchitisCode] && !dead
}

func conditionCohort(concept int64) string {
	return fmt.Sprintf(`{"ConceptSets":[{"id":0,"name":"c","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`, concept)
}

func refusalOf(t *testing.T, id trial.ID, node identity.DID) message.Envelope {
	t.Helper()
	who, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	e, err := message.Seal(who, wire.KindRefusal, wire.Refusal{Trial: id, Node: node, Document: message.Digest{1}}, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}

// ehr is an EHR that calls a node by its name, base, at url.
type ehr struct {
	url, base, issuer string
	key               jose.JSONWebKey
}

func newEHR(t *testing.T, url, base string) ehr {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	return ehr{url, base, "https://ehr.north.example/", jose.JSONWebKey{Key: key, KeyID: "ehr-1", Algorithm: "ES384", Use: "sig"}}
}

func (e ehr) public(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{e.key.Public()}})
	require.NoError(t, err)
	return text
}

// heard is what came back of a call.
type heard struct {
	status int
	body   string
	Cards  []struct{ Detail string }
}

// view calls patient-view.
func (e ehr) view(t *testing.T, patient string) (a heard) {
	t.Helper()
	path := cdshooks.Path + "/" + cdshooks.PatientView
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iss": e.issuer, "aud": e.base + path, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": rand.Text()})
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: e.key}, new(jose.SignerOptions).WithType("JWT"))
	require.NoError(t, err)
	signed, err := signer.Sign(claims)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	body := fmt.Sprintf(`{"hook":"patient-view","hookInstance":"d1577c69-dfbe-44ad-ba6d-3e05e953b2ea","context":{"userId":"Practitioner/1","patientId":%q}}`, patient)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, errors.Join(err, answer.Body.Close()))
	require.NoError(t, json.Unmarshal(text, &a))
	a.status, a.body = answer.StatusCode, string(text)
	return a
}
