package cosign_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/federation/inprocess"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

const (
	patience = 20 * time.Second
	tick     = 5 * time.Millisecond
)

// meeting is a hub and nodes that talk about its log.
type meeting struct {
	t         *testing.T
	network   *inprocess.Network
	hub       *inprocess.Endpoint
	nodes     []identity.DID
	cosigners []*cosign.Cosigner
	exchanges []*cosign.Exchange
}

// meet lets nodes meet. The hub answers by the history that it shows to each.
func meet(t *testing.T, shown ...history) *meeting {
	t.Helper()
	m := &meeting{t: t, network: inprocess.New()}
	m.hub = m.network.Join("hub")
	for i := range shown {
		m.nodes = append(m.nodes, identity.NewKey(key(byte(20+i))).DID())
	}
	m.hub.HandleCall(cosign.ProofProtocol, func(ctx context.Context, from identity.DID, body []byte) ([]byte, error) {
		old, present, err := cosign.ParseQuestion(body)
		require.NoError(t, err)
		proof, err := shown[slices.Index(m.nodes, from)].prove(ctx, old, present)
		return proof.Marshal(), err
	})
	for i, did := range m.nodes {
		c := open(t, t.TempDir(), byte(20+i))
		end := m.network.Join(did)
		e := cosign.NewExchange(cosign.ExchangeConfig{
			Cosigner: c, Network: end, Hub: "hub",
			Peers: func() []identity.DID { return slices.Delete(slices.Clone(m.nodes), i, i+1) },
		})
		m.cosigners, m.exchanges = append(m.cosigners, c), append(m.exchanges, e)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = e.Run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			<-done
			require.NoError(t, end.Close())
		})
	}
	return m
}

// show has the hub ask a node to cosign.
func (m *meeting) show(node int, h history, old, size int64) error {
	answer, err := m.hub.Call(m.t.Context(), m.nodes[node], cosign.AddProtocol, h.request(m.t, old, size))
	if err == nil {
		_, err = cosign.ParseAnswer(answer)
	}
	return err
}

func (m *meeting) forked() (forked int) {
	for _, c := range m.cosigners {
		if errors.Is(c.Forked(), cosign.ErrForked) {
			forked++
		}
	}
	return forked
}

// proven reports whether a cosigner has evidence that speaks for itself.
func proven(t *testing.T, c *cosign.Cosigner) bool {
	t.Helper()
	return slices.ContainsFunc(c.Forks(), func(f cosign.Fork) bool {
		found, err := f.Check(trusting(t, 0))
		require.NoError(t, err)
		return found.Proven
	})
}

// TestNodesFindAFork: the hub shows each of two nodes another history, and tells each
// what fits. They need no help of the hub but its answers, and a third node that saw
// nothing wrong hears of it.
func TestNodesFindAFork(t *testing.T) {
	t.Parallel()
	common := history(nil).grown(t, 50, "a")
	one, two := common.grown(t, 50, "a"), common.grown(t, 50, "b")
	m := meet(t, one, two, one)
	require.NoError(t, m.show(0, one, 0, 80))
	require.NoError(t, m.show(1, two, 0, 70))
	require.NoError(t, m.show(2, one, 0, 80))
	require.Zero(t, m.forked())
	require.Eventually(t, func() bool {
		for _, e := range m.exchanges {
			e.Wake()
		}
		return !slices.ContainsFunc(m.cosigners, func(c *cosign.Cosigner) bool { return !proven(t, c) })
	}, patience, tick)
	require.Error(t, m.show(2, one, 80, 100), "nobody cosigns for this log any more")
}

// TestNodesOfOneHistory are at different sizes all the time.
func TestNodesOfOneHistory(t *testing.T) {
	t.Parallel()
	log := history(nil).grown(t, 100, "a")
	m := meet(t, log, log)
	require.NoError(t, m.show(0, log, 0, 80))
	require.NoError(t, m.show(1, log, 0, 33))
	var at *cosign.SizeError
	require.ErrorAs(t, m.show(1, log, 32, 80), &at)
	require.EqualValues(t, 33, at.Size)
	for _, e := range m.exchanges {
		e.Wake()
	}
	require.NoError(t, m.show(1, log, 33, 100))
	require.Zero(t, m.forked())

	end := m.network.Join("stranger")
	defer func() { require.NoError(t, end.Close()) }()
	_, err := end.Call(t.Context(), m.nodes[0], cosign.AddProtocol, log.request(t, 80, 100))
	require.Error(t, err, "only the hub asks")
	_, err = end.Call(t.Context(), m.nodes[0], cosign.ForkProtocol, cosign.Fork{Earlier: []byte("x")}.Marshal())
	require.Error(t, err)
	require.Zero(t, m.forked())
}

// TestWitnessOverHTTP speaks C2SP tlog-witness, status by status.
func TestWitnessOverHTTP(t *testing.T) {
	t.Parallel()
	one, two := history(nil).grown(t, 100, "a"), history(nil).grown(t, 100, "b")
	c := open(t, t.TempDir(), 10)
	server := httptest.NewServer(http.StripPrefix("/w", cosign.NewHandler(c)))
	defer server.Close()
	ask := func(body []byte) ([]byte, error) {
		return cosign.AskHTTP(t.Context(), server.Client(), server.URL+"/w/", body)
	}
	lines, err := ask(one.request(t, 0, 60))
	require.NoError(t, err)
	cosigned(t, one.at(t, 60), lines, 10)
	var at *cosign.SizeError
	_, err = ask(one.request(t, 0, 80))
	require.ErrorAs(t, err, &at)
	require.EqualValues(t, 60, at.Size)

	stranger, err := cosign.NewSigner(origin, key(9))
	require.NoError(t, err)
	forged, err := one.at(t, 70).Sign(stranger)
	require.NoError(t, err)
	elsewhere := strings.ReplaceAll(string(one.request(t, 60, 80)), origin, "other.example.org")
	for name, tc := range map[string]struct {
		body   []byte
		status int
	}{
		"unknown log":      {[]byte(elsewhere), 404},
		"unknown key":      {cosign.Request{Old: 60, Note: forged}.Marshal(), 403},
		"old above new":    {cosign.Request{Old: 60, Note: signByLog(t, one.at(t, 9))}.Marshal(), 400},
		"malformed":        {[]byte("old\n"), 400},
		"proof of another": {two.request(t, 60, 80), 422},
	} {
		_, err := ask(tc.body)
		require.ErrorContains(t, err, fmt.Sprintf("status %d", tc.status), name)
	}
	_, err = ask(cosign.Request{Old: 60, Note: signByLog(t, two.at(t, 60))}.Marshal())
	require.ErrorContains(t, err, "status 409")
	require.ErrorIs(t, c.Forked(), cosign.ErrForked)
	res, err := server.Client().Get(server.URL + "/w/add-checkpoint")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 405, res.StatusCode)
}
