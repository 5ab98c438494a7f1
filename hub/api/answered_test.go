package api

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// must commits a command.
func (h *hub) must(body registry.Body) registry.Outcome {
	h.t.Helper()
	out, err := h.Propose(h.t.Context(), body)
	require.NoError(h.t, err)
	return out
}

// asked brings the hub to an open question and returns it with the epoch that
// the node will answer under.
func (h *hub) asked() (query.ID, message.Digest) {
	h.t.Helper()
	h.enroll()
	h.must(registry.SetVenue{Venue: query.Venue{ChainID: 1337, Contract: "0x" + strings.Repeat("ab", 20)}})
	h.must(registry.RegisterCircuit{Circuit: entry.Circuit{Shape: "access-64x4x8", VerifyingKey: verifyingKey, ProvingDigest: message.Sum(theKey), Development: true}})
	h.must(registry.RegisterTrial{Registration: h.registration()})
	epoch := h.seal(h.node, consent.KindEpoch, consent.Epoch{
		Trial: "bp-trial", Node: h.node.DID(), Number: 1, Circuit: message.Sum(verifyingKey),
		Shards: []consent.Shard{{From: start.Add(-time.Hour), To: start.Add(time.Hour), Proof: []byte("p")}},
	})
	h.must(registry.PublishEpoch{Envelope: epoch})
	envelope := h.question()
	h.must(registry.AskQuestion{Envelope: envelope, Deadline: start.Add(time.Minute)})
	return envelope.Digest(), epoch.Digest()
}

// answer records a result with a withheld cell.
func (h *hub) answer(id query.ID, epoch message.Digest) {
	h.t.Helper()
	mean := 128.25
	h.must(registry.FinishQuestion{Result: query.Result{
		Query: id, Trial: "bp-trial", State: query.Complete, Asked: start, Finished: start.Add(time.Second), Policy: disclosure.Default(),
		Answered: []query.Answered{{Node: h.node.DID(), Epoch: epoch, AtLeast: 11}},
		Cells:    []query.Cell{{Levels: []string{"female"}, N: 135, Mean: &mean}, {Levels: []string{"<b>male</b>"}, Withheld: true, SitesWithheld: 1}},
	}})
}

// prove records the node's access proof.
func (h *hub) prove(id query.ID, epoch message.Digest) {
	h.t.Helper()
	scopes, err := query.Request{Cohort: get[Question](h, "/v1/queries/"+id.String()).Request.Cohort, Analysis: query.Analysis{Kind: query.Count}}.Scopes()
	require.NoError(h.t, err)
	h.must(registry.RecordAccess{Envelope: h.seal(h.node, query.KindAccess, query.Access{
		Query: id, Node: h.node.DID(), Epoch: epoch, Scopes: scopes, AtLeast: 11, Circuit: message.Sum(verifyingKey), Proof: []byte("proof"),
	})})
}

func (h *hub) onChain(id query.ID) {
	h.t.Helper()
	h.must(registry.RecordAccessTx{Query: id, Node: h.node.DID(), Tx: "0xfeed", Block: 7, Gas: 273_000})
}

// A long poll answers when there is what it waits for, without being asked
// again, and otherwise when its time is over.
func TestALongPollAnswersWhenThereIsSomething(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id, epoch := h.asked()
	poll := func(wait string) chan Question {
		answer := make(chan Question, 1)
		before := h.waiters.Load()
		go func() {
			var q Question
			resp, err := h.client.Get(h.url + "/v1/queries/" + id.String() + "?seconds=60&wait=" + wait)
			if err == nil {
				err = errors.Join(json.NewDecoder(resp.Body).Decode(&q), resp.Body.Close())
			}
			if err != nil {
				t.Error(err)
			}
			answer <- q
		}()
		require.Eventually(t, func() bool { return h.waiters.Load() > before }, time.Minute, time.Millisecond, "the poll waits")
		return answer
	}
	early := get[Question](h, "/v1/queries/"+id.String()+"?wait=result&seconds=0")
	require.Equal(t, query.Open, early.State)

	result, proofs := poll("result"), poll("proofs")
	h.answer(id, epoch)
	answered := <-result
	require.Equal(t, query.Complete, answered.State)
	require.False(t, answered.ProofsDone)
	require.Positive(t, answered.ResultIndex)
	h.prove(id, epoch)
	h.onChain(id)
	done := <-proofs
	require.True(t, done.ProofsDone)
	require.Equal(t, h.node.DID(), done.Accesses[0].Node)
	require.Equal(t, "0xfeed", done.Accesses[0].Tx)
	require.Equal(t, done, get[Question](h, "/v1/queries/"+id.String()+"?wait=proofs"))
}

func TestProofsAreDoneWhenNoneIsToCome(t *testing.T) {
	t.Parallel()
	answered := []query.Answered{{}}
	logged, unlogged := registry.Access{Tx: "0x1"}, registry.Access{}
	for name, c := range map[string]struct {
		result   *query.Result
		accesses []registry.Access
		noChain  bool
		done     bool
	}{
		"withheld":         {result: &query.Result{State: query.Withheld, Answered: answered}, done: true},
		"repeated":         {result: &query.Result{State: query.Complete, Answered: answered, Repeats: new(query.ID)}, done: true},
		"none came":        {result: &query.Result{State: query.Complete, Answered: answered}},
		"none, no chain":   {result: &query.Result{State: query.Complete, Answered: answered}, noChain: true},
		"not on the chain": {result: &query.Result{State: query.Complete, Answered: answered}, accesses: []registry.Access{unlogged}},
		"no chain":         {result: &query.Result{State: query.Complete, Answered: answered}, accesses: []registry.Access{unlogged}, noChain: true, done: true},
		"on the chain":     {result: &query.Result{State: query.Partial, Answered: answered}, accesses: []registry.Access{logged}, done: true},
	} {
		require.Equal(t, c.done, proofsDone(c.result, c.accesses, !c.noChain), name)
	}
}

// What is named by its digest is served as the bytes that have it, for good.
func TestFilesAreWhatTheirDigestsSay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, epochDigest := h.asked()
	epoch := get[Epoch](h, "/v1/epochs/"+epochDigest.String())
	require.Equal(t, h.node.DID(), epoch.Epoch.Node)
	require.Equal(t, epochDigest, epoch.Digest)

	circuit := get[Circuits](h, "/v1/circuits").Circuits[0]
	require.Equal(t, message.Sum(verifyingKey), circuit.Digest)
	require.True(t, circuit.Development)
	path := "/v1/circuits/" + circuit.Digest.String() + "/proving-key"
	status, header, key := h.send(http.MethodGet, path, "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, circuit.ProvingDigest, message.Sum([]byte(key)))
	require.Equal(t, immutable, header.Get("Cache-Control"))
	require.Equal(t, `"`+circuit.ProvingDigest.String()+`"`, header.Get("ETag"))

	var raw []byte
	require.NoError(t, h.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT document FROM trial`).Scan(&raw)
	}))
	status, header, document := h.send(http.MethodGet, "/v1/documents/"+string(raw), "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(raw), message.Digest(sha256.Sum256([]byte(document))).String())
	require.Equal(t, immutable, header.Get("Cache-Control"))
}

func TestADownloadOfAKeyCanBeResumed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.asked()
	whole := string(theKey)
	for name, c := range map[string]struct{ ask, want string }{
		"from the start":  {"bytes=0-9", whole[:10]},
		"inside a piece":  {"bytes=705-710", whole[705:711]},
		"across pieces":   {"bytes=690-2200", whole[690:2201]},
		"to the end":      {"bytes=7990-", whole[7990:]},
		"the last bytes":  {"bytes=-5", whole[len(whole)-5:]},
		"at a piece edge": {"bytes=700-1399", whole[700:1400]},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/v1/circuits/"+message.Sum(verifyingKey).String()+"/proving-key", nil)
			require.NoError(t, err)
			req.Header.Set("Range", c.ask)
			resp, err := h.client.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusPartialContent, resp.StatusCode)
			require.Equal(t, c.want, string(body))
		})
	}
}

// publish signs the log as it is.
func (h *hub) publish() {
	h.t.Helper()
	key := newKey(h.t)
	public, err := key.DID().PublicKey()
	require.NoError(h.t, err)
	verifier, err := cosign.VerifierKey("hub.test/ledger", public)
	require.NoError(h.t, err)
	signer, err := cosign.NewSigner("hub.test/ledger", key.Private())
	require.NoError(h.t, err)
	require.NoError(h.t, h.db.Write(h.t.Context(), func(tx *sqldb.Tx) error {
		head, err := ledger.Head(h.t.Context(), tx, "hub.test/ledger")
		if err != nil {
			return err
		}
		signed, err := head.Sign(signer)
		if err != nil {
			return err
		}
		_, err = ledger.AddCheckpoint(h.t.Context(), tx, cosign.Trust{Origin: "hub.test/ledger", Keys: []string{verifier}}, signed)
		return err
	}))
}

func TestTheLogIsServed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.asked()
	status, _, _ := h.send(http.MethodGet, "/checkpoint", "", nil)
	require.Equal(t, http.StatusNotFound, status)
	h.publish()
	status, _, checkpoint := h.send(http.MethodGet, "/checkpoint", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.True(t, strings.HasPrefix(checkpoint, "hub.test/ledger\n5\n"), checkpoint)
	status, header, bundle := h.send(http.MethodGet, "/tile/entries/000.p/5", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, bundle, "bp-trial")
	require.Contains(t, header.Get("Cache-Control"), "immutable")
}

// external matches what a browser would fetch or run; a key in base64 may have two slashes.
var external = regexp.MustCompile(`(?i)(src|href|action)="?(https?:)?//|url\(|@import|<script|javascript:| on[a-z]+=|style=`)

// A trial that sets no limits of its own has those of the sites.
func TestTheStatusPageOfATrialWithoutLimits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	h.must(registry.RegisterTrial{Registration: h.registration()})
	_, _, limited := h.send(http.MethodGet, "/", "", nil)
	require.Contains(t, limited, "smallest cell 11")
	design := h.seal(h.sponsor, trial.KindDesign, trial.Design{
		ID: "no-limits", Title: "No limits", Nodes: []identity.DID{h.node.DID()}, Researchers: []identity.DID{h.researcher.DID()},
		Opens: start, Closes: start.Add(time.Hour),
	})
	approval := h.seal(h.board, trial.KindApproval, trial.Approval{Trial: "no-limits", Design: design.Digest(), Statement: "approved"})
	h.must(registry.RegisterTrial{Registration: trial.Registration{Design: design, Approvals: []message.Envelope{approval}}})
	_, _, body := h.send(http.MethodGet, "/", "", nil)
	require.Contains(t, body, "smallest cell the sites' own")
	require.NotContains(t, body, "smallest cell 0")
}

// The page says what there is, marks what is withheld and what is for
// development only, loads nothing from elsewhere and runs nothing.
func TestTheStatusPage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	status, _, empty := h.send(http.MethodGet, "/", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, empty, "Development keys")

	id, epoch := h.asked()
	_, _, open := h.send(http.MethodGet, "/", "", nil)
	require.Contains(t, open, "open until")
	h.answer(id, epoch)
	h.must(registry.RecordAnchor{Anchor: entry.Anchor{ChainID: "1337", Contract: "0x0", Size: 5, Root: make([]byte, 32), Tx: "0xanchor", Block: 9}})
	h.publish()
	h.set(func() { h.present = []membership.Member{{DID: h.node.DID(), State: membership.Alive, Since: start}} })
	status, header, body := h.send(http.MethodGet, "/", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'")
	for _, want := range []string{
		"st-anna", "present", "Blood pressure &lt;script&gt;", "to know &lt;b&gt;how many&lt;/b&gt;", "135", "withheld", "&lt;b&gt;male&lt;/b&gt;",
		"Development keys", "development keys", "0xanchor", "0 of 1, 0 on the chain", id.String()[:12],
	} {
		require.Contains(t, body, want)
	}
	for _, p := range []string{empty, open, body} {
		require.False(t, external.MatchString(p), "nothing from elsewhere: %s", external.FindString(p))
		require.NotContains(t, p, "<no value>")
	}
	status, header, css := h.send(http.MethodGet, "/style.css", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/css; charset=utf-8", header.Get("Content-Type"))
	require.False(t, external.MatchString(css))
	require.Contains(t, css, "prefers-color-scheme: dark")
}

// The page that verifies evidence comes with the policy it was built with, or the hub says
// that it was built without.
func TestTheVerifyingPage(t *testing.T) {
	t.Parallel()
	status, header, body := newHub(t).send(http.MethodGet, "/verify", "", nil)
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, header.Get("Content-Security-Policy"), "unsafe-inline")
	if status == http.StatusNotFound {
		require.Contains(t, body, "make build")
		return
	}
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Contains(t, header.Get("Content-Security-Policy"), "'wasm-unsafe-eval'")
	require.Contains(t, body, "Verify evidence")
}
