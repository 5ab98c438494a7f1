package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/protocol/version"
	"github.com/trialmesh/trialmesh/zk/figures"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// believer takes every proof, for tests of what happens around them.
type believer struct{}

func (believer) CheckEpoch(entry.Circuit, consent.Epoch) error { return nil }
func (believer) CheckAccess(entry.Circuit, query.Access, consent.Epoch, consent.Element) error {
	return nil
}

func (believer) CheckResult(figures.Circuits, query.Proved, figures.Statement) error { return nil }

func (believer) CheckEnrollment(entry.Circuit, enrollment.Enrollment, identity.DID) error { return nil }

// hub is what stands behind the API in these tests: a real registry on SQLite
// with a log of one replica, and the rest in memory.
type hub struct {
	t       *testing.T
	machine *registry.Machine
	reader  *registry.Reader
	db      *sqldb.DB
	url     string
	client  *http.Client
	logged  *lockedBuffer

	mu      sync.Mutex
	index   uint64
	changed chan struct{}
	now     time.Time
	broken  error
	present []membership.Member
	speaks  map[identity.DID]version.Range
	waiters atomic.Int64 // calls of Changed

	operator, sponsor, researcher, board, node identity.Key
	tokens                                     map[registry.Role]string
}

// lockedBuffer collects the log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newKey(t *testing.T) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

func newHub(t *testing.T, change ...func(*Config)) *hub {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, registry.Migrate(t.Context(), db))
	h := &hub{
		t: t, db: db, reader: registry.NewReader(db), changed: make(chan struct{}), now: start, logged: new(lockedBuffer),
		operator: newKey(t), sponsor: newKey(t), researcher: newKey(t), board: newKey(t), node: newKey(t),
		tokens: make(map[registry.Role]string),
	}
	h.machine = registry.NewMachine(db, h.operator.DID(), believer{})
	for role, holder := range map[registry.Role]identity.Key{
		registry.RoleOperator: h.operator, registry.RoleSponsor: h.sponsor, registry.RoleResearcher: h.researcher,
	} {
		h.tokens[role], err = h.IssueToken(t.Context(), holder.DID(), role, time.Hour)
		require.NoError(t, err)
	}
	cfg := Config{
		Registry: h.reader, Ledger: ledger.NewPublished(db), Log: h, Operator: h, Network: h,
		Certificates: http.NotFoundHandler(), ProvingKey: provingKeys, Now: h.time,
		Logger: slog.New(slog.NewTextHandler(h.logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	handler, err := New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	h.url, h.client = server.URL, server.Client()
	return h
}

func (h *hub) time() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Propose implements Log as a replica of one would.
func (h *hub) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return registry.Outcome{}, h.broken
	}
	data, err := registry.Encode(body, h.now)
	if err != nil {
		return registry.Outcome{}, err
	}
	h.index++
	out, err := h.machine.Apply(ctx, h.index, data)
	close(h.changed)
	h.changed = make(chan struct{})
	return out, err
}

func (h *hub) Invite(ctx context.Context, name, organization string, ttl time.Duration) (string, time.Time, error) {
	_, err := h.Propose(ctx, registry.InviteNode{Name: name, Organization: organization})
	return "invitation-of-" + name, h.time().Add(ttl), err
}

func (h *hub) IssueToken(ctx context.Context, holder identity.DID, role registry.Role, ttl time.Duration) (string, error) {
	if _, err := holder.PublicKey(); err != nil {
		return "", problem.New(problem.Invalid, "holder: not a did:key")
	}
	text := rand.Text()
	_, err := h.Propose(ctx, registry.AdmitToken{Hash: message.Sum([]byte(text)).String(), Holder: holder, Role: role, Expires: h.time().Add(ttl)})
	return text, err
}

func (h *hub) Trust() entry.Trust {
	return entry.Trust{Hub: h.operator.DID(), Origin: "hub.test/ledger", LogKey: "hub.test/ledger+00000000+AA=="}
}

func (h *hub) Present() []membership.Member {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.present
}

func (h *hub) Speaks(node identity.DID) (version.Range, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	spoken, known := h.speaks[node]
	return spoken, known
}

// connect has the node say which versions it speaks.
func (h *hub) connect(spoken version.Range) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.speaks = map[identity.DID]version.Range{h.node.DID(): spoken}
}

func (h *hub) Mismatch(node identity.DID) error {
	spoken, known := h.Speaks(node)
	if !known {
		return nil
	}
	return version.Party{Name: "hub", Speaks: version.Spoken()}.Check(version.Party{Name: "node", Speaks: spoken})
}

func (h *hub) Ready(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken
}

func (h *hub) Changed() <-chan struct{} {
	defer h.waiters.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

func (h *hub) ChangedOf(query.ID) (<-chan struct{}, func()) { return h.Changed(), func() {} }

// set changes what the fakes answer from.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// fixedKey is a proving key of a few kB that writes itself in small pieces.
type fixedKey []byte

func (k fixedKey) Size() int64 { return int64(len(k)) }
func (k fixedKey) WriteTo(w io.Writer) (int64, error) {
	var sum int64
	for rest := []byte(k); len(rest) > 0; {
		n, err := w.Write(rest[:min(700, len(rest))])
		sum += int64(n)
		if err != nil {
			return sum, err
		}
		rest = rest[n:]
	}
	return sum, nil
}

var theKey = fixedKey(bytes.Repeat([]byte("0123456789abcdef"), 500))

var verifyingKey = []byte("verifying key")

func provingKeys(circuit message.Digest) (ProvingKey, bool) {
	return theKey, circuit == message.Sum(verifyingKey)
}

// enroll admits the node.
func (h *hub) enroll() {
	_, err := h.Propose(h.t.Context(), registry.InviteNode{Name: "st-anna", Organization: "St. Anna"})
	require.NoError(h.t, err)
	_, err = h.Propose(h.t.Context(), registry.EnrollNode{Node: h.node.DID(), Name: "st-anna"})
	require.NoError(h.t, err)
}

func (h *hub) seal(key identity.Key, kind message.Kind, body any) message.Envelope {
	e, err := message.Seal(key, kind, body, start, 24*time.Hour, rand.Reader)
	require.NoError(h.t, err)
	return e
}

// registration is an approved trial of the one node.
func (h *hub) registration() trial.Registration {
	design := h.seal(h.sponsor, trial.KindDesign, trial.Design{
		ID: "bp-trial", Title: "Blood pressure <script>", Nodes: []identity.DID{h.node.DID()},
		Researchers: []identity.DID{h.researcher.DID()}, Analyses: []string{"count"},
		Disclosure: disclosure.Default(), Opens: start.Add(-time.Hour), Closes: start.Add(48 * time.Hour),
	})
	approval := h.seal(h.board, trial.KindApproval, trial.Approval{Trial: "bp-trial", Design: design.Digest(), Statement: "approved"})
	return trial.Registration{Design: design, Approvals: []message.Envelope{approval}}
}

// question is a signed count of people with a condition.
func (h *hub) question() message.Envelope {
	return h.seal(h.researcher, query.KindRequest, query.Request{
		Trial: "bp-trial", Purpose: "to know <b>how many</b>",
		Cohort:   json.RawMessage(`{"ConceptSets":[{"id":0,"name":"hypertension","expression":{"items":[{"concept":{"CONCEPT_ID":320128}}]}}],"PrimaryCriteria":{"CriteriaList":[{"ConditionOccurrence":{"CodesetId":0}}],"ObservationWindow":{"PriorDays":0,"PostDays":0},"PrimaryCriteriaLimit":{"Type":"First"}}}`),
		Analysis: query.Analysis{Kind: query.Count},
	})
}

// send sends a request and returns status, header and body.
func (h *hub) send(method, path, token string, body any) (int, http.Header, string) {
	h.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		require.NoError(h.t, err)
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, reader)
	require.NoError(h.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := h.client.Do(req)
	require.NoError(h.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	return resp.StatusCode, resp.Header, string(raw)
}

// get decodes the answer of a public read.
func get[T any](h *hub, path string) T {
	h.t.Helper()
	status, _, body := h.send(http.MethodGet, path, "", nil)
	require.Equal(h.t, http.StatusOK, status, body)
	return decode[T](h.t, body)
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}

var errBroken = errors.New("disk of patient-4711 is full")
