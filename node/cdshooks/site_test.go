package cdshooks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/jwks"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/screen"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

const (
	base    = "https://trials.hospital.example"
	issuer  = "https://ehr.hospital.example/"
	keyURL  = "https://ehr.hospital.example/jwks.json"
	origin  = "https://sandbox.example"
	patient = "1288992" // that of the specification's examples

	diabetes, metformin = 201826, 1503297
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// logged is what a log holds.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// site is a node as far as its CDS Hooks service goes.
type site struct {
	t       testing.TB
	db      *sqldb.DB
	people  *omop.Store
	trail   *audit.Trail
	rules   *screen.Rules
	clients *cdshooks.Clients
	handler http.Handler
	log     *logged
	web     http.HandlerFunc // what is at https addresses
	now     time.Time
	words   words
	codes   map[string]vocab.Concept // by code
	asked   []string                 // codes that were looked up
}

// words are what patients said, by trial.
type words map[trial.ID]consent.Word

func (w words) Said(_ context.Context, _ *sqldb.Tx, _ omop.PersonID, id trial.ID, _ time.Time) (consent.Word, error) {
	return w[id], nil
}

// RoundTrip answers for all of the web.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.web(w, r)
	return w.Result(), nil
}

func newSite(t testing.TB, db *sqldb.DB, change ...func(*cdshooks.Config)) *site {
	t.Helper()
	ctx := t.Context()
	s := &site{t: t, db: db, log: &logged{}, now: start, words: words{}, codes: map[string]vocab.Concept{}, web: http.NotFound}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.people, err = omop.Open(ctx, db)
	require.NoError(t, err)
	s.trail, err = audit.Open(ctx, db, log)
	require.NoError(t, err)
	s.rules, err = screen.OpenRules(ctx, db, s.trail)
	require.NoError(t, err)
	s.clients, err = cdshooks.OpenClients(ctx, db, s.trail, jwks.Config{Transport: s})
	require.NoError(t, err)
	patients, err := screen.New(screen.Config{DB: db, People: s.people, Rules: s.rules, Vocabulary: concepts(t, db), Consents: s.words})
	require.NoError(t, err)
	cfg := cdshooks.Config{
		DB: db, Trail: s.trail, Clients: s.clients, Patients: patients, URL: base, Name: "North Hospital", Log: log, Now: func() time.Time { return s.now },
		Codes: func(_ context.Context, system, code string) ([]vocab.Concept, error) {
			s.asked = append(s.asked, system+"|"+code)
			if c, known := s.codes[code]; known {
				return []vocab.Concept{c}, nil
			}
			return nil, nil
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	s.handler, err = cdshooks.New(cfg)
	require.NoError(t, err)
	return s
}

// newClinic is a site on SQLite with an EHR, a patient with diabetes and a trial for them.
func newClinic(t testing.TB, change ...func(*cdshooks.Config)) *site {
	t.Helper()
	s := newSite(t, sqltest.SQLite(t), change...)
	s.fill()
	return s
}

func (s *site) fill() {
	s.t.Helper()
	s.register(cdshooks.Client{Issuer: issuer, Keys: theEHR().public(s.t)})
	s.diabetic(patient)
	s.rule("glucose-1", diabetes)
}

func (s *site) register(c cdshooks.Client) {
	s.t.Helper()
	require.NoError(s.t, s.clients.Add(s.t.Context(), c, s.now))
}

func (s *site) diabetic(id string) {
	s.t.Helper()
	key := mapping.PersonKey(id)
	day := sqldb.Day(2021, time.January, 1)
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error {
		result, err := s.people.Put(s.t.Context(), tx, omop.Batch{
			Raw: [32]byte{1}, Mapper: "test/1", At: start,
			Persons:    []omop.Person{{Key: key, Pointer: "p", GenderConceptID: 8507, YearOfBirth: 1925, MonthOfBirth: 12, DayOfBirth: 23}},
			Periods:    []omop.ObservationPeriod{{Person: key, Start: sqldb.Day(2020, time.January, 1), End: sqldb.Day(2025, time.December, 31), TypeConceptID: 32817}},
			Conditions: []omop.Condition{{Record: omop.Record{Key: omop.NewKey("d"), Person: key, Pointer: "c"}, ConceptID: diabetes, Start: day, TypeConceptID: 32817}},
		})
		require.Empty(s.t, result.Refused)
		return err
	}))
}

// rule adds a trial for who has one of the conditions, and has metformin if that is told.
func (s *site) rule(id string, concept int64) {
	s.t.Helper()
	text := fmt.Sprintf(`{"trial":%q,"title":"Glucose in *early* diabetes","contact":"Trial office","link":"https://trials.example/glucose-1","criteria":[
		{"name":"Type 2 diabetes","cohort":%s},{"name":"Metformin <any>","cohort":%s},{"name":"Asthma","exclude":true,"cohort":%s}]}`,
		id, cohort("ConditionOccurrence", concept), cohort("DrugExposure", metformin), cohort("ConditionOccurrence", 317009))
	r, err := screen.Parse([]byte(text))
	require.NoError(s.t, err)
	require.NoError(s.t, s.rules.Add(s.t.Context(), r, s.now))
}

func cohort(domain string, concept int64) string {
	return fmt.Sprintf(`{"ConceptSets":[{"id":0,"name":"c","expression":{"items":[{"concept":{"CONCEPT_ID":%d}}]}}],
		"PrimaryCriteria":{"CriteriaList":[{%q:{"CodesetId":0}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`, concept, domain)
}

// ehr is an EHR with its key.
type ehr struct {
	key       crypto.PrivateKey
	algorithm jose.SignatureAlgorithm
	kid       string
}

// theEHR is made once: keys take time.
var theEHR = sync.OnceValue(newEHR)

func newEHR() *ehr {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &ehr{key, jose.ES384, "ehr-1"}
}

func (e *ehr) public(t testing.TB) json.RawMessage {
	t.Helper()
	key := jose.JSONWebKey{Key: e.key, KeyID: e.kid, Algorithm: string(e.algorithm), Use: "sig"}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	require.NoError(t, err)
	return text
}

// object is a JSON object.
type object map[string]any

// token signs claims; header and claims are over those of a good one, and nil leaves one
// out.
func (e *ehr) token(t testing.TB, now time.Time, header, said object) string {
	t.Helper()
	c := object{"iss": issuer, "exp": now.Add(4 * time.Minute).Unix(), "iat": now.Unix(), "jti": rand.Text()}
	maps.Copy(c, said)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(c)
	require.NoError(t, err)
	options := new(jose.SignerOptions).WithType("JWT")
	for name, v := range header {
		options.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: e.algorithm, Key: jose.JSONWebKey{Key: e.key, KeyID: e.kid}}, options)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := signed.CompactSerialize()
	require.NoError(t, err)
	return text
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request with a token, if there is one.
func (s *site) send(method, path, body, token string, header ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	r.Host = "elsewhere.example" // what a client writes there counts for nothing
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

// do sends a request as the EHR does.
func (s *site) do(method, path, body string) answer {
	s.t.Helper()
	return s.send(method, path, body, theEHR().token(s.t, s.now, nil, object{"aud": base + path}))
}

const viewPath, selectPath = cdshooks.Path + "/" + cdshooks.PatientView, cdshooks.Path + "/" + cdshooks.OrderSelect

// view is a call of patient-view; context and more are over those of a good one.
func view(hookContext, more object) string {
	c := object{"userId": "Practitioner/example", "patientId": patient}
	maps.Copy(c, hookContext)
	r := object{"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": c}
	maps.Copy(r, more)
	return encode(r)
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// card is one as a client reads it.
type card struct {
	UUID, Summary, Indicator, Detail string
	Source                           struct{ Label string }
	Suggestions                      []struct{ Label, UUID string }
	Links                            []struct{ Label, URL, Type string }
}

// cards are those of an answer, which must be one of the specification.
func (s *site) cards(a answer) []card {
	s.t.Helper()
	require.Equal(s.t, 200, a.status, a.body)
	require.Equal(s.t, "application/json", a.header.Get("Content-Type"))
	require.NoError(s.t, checkAnswer([]byte(a.body)))
	var out struct{ Cards []card }
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &out))
	return out.Cards
}

// refused checks a refusal and that it repeats nothing of the request.
func (s *site) refused(a answer, status int, says string) {
	s.t.Helper()
	require.Equal(s.t, status, a.status, a.body)
	require.Equal(s.t, "application/problem+json", a.header.Get("Content-Type"))
	require.Contains(s.t, a.body, says)
	require.NotContains(s.t, a.body, patient)
}

// quiet checks that nothing of a patient is in the log or on the trail.
func (s *site) quiet(values ...string) {
	s.t.Helper()
	trail, err := s.trail.Latest(s.t.Context(), 1000)
	require.NoError(s.t, err)
	for _, v := range append(values, patient, "1925-12-23") {
		require.NotContains(s.t, s.log.String(), v)
		require.NotContains(s.t, encode(trail), v)
	}
}

func concepts(t testing.TB, db *sqldb.DB) query.Concepts {
	t.Helper()
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	return query.Concepts{Store: words}
}
