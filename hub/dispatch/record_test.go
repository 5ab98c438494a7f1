package dispatch_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

var record = flag.String("record", "", "file to record a conversation of hub and nodes in, instead of the tests of another version")

// conversation is all that a hub and its nodes said about two questions, a count and
// moments, from the first entry of the hub's log on. It is recorded in a bubble, whose
// clock begins at the same moment in every run, so that its signatures are valid in one.
type conversation struct {
	Entries   []json.RawMessage `json:"entries"` // the hub's log up to the questions
	Questions []query.ID        `json:"questions"`
	Exchanges []exchange        `json:"exchanges"`
	Results   []json.RawMessage `json:"results"`
}

// exchange is a task and what the node answered.
type exchange struct {
	Node  identity.DID    `json:"node"`
	Task  json.RawMessage `json:"task"`
	Reply json.RawMessage `json:"reply"`
}

// tap is a network that passes calls on and keeps them. change, if set, changes the tasks.
type tap struct {
	dispatch.Network
	change func(task []byte) []byte

	mu    sync.Mutex
	heard []exchange
}

func (n *tap) Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	if n.change != nil {
		request = n.change(request)
	}
	reply, err := n.Network.Call(ctx, to, protocol, request)
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.heard = append(n.heard, exchange{to, request, reply})
	}
	return reply, err
}

// through returns a dispatcher that reaches the nodes through a network.
func (w *world) through(t *testing.T, network dispatch.Network) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(dispatch.Config{
		Registry: w.reader, Log: w.log, Network: network, Policy: w.policy, Grace: 100 * time.Millisecond, Poll: 25 * time.Millisecond,
		ProofWait: 5 * time.Second,
	})
	require.NoError(t, err)
	return d
}

// converse asks three sites the two questions and returns what was said.
func converse(t *testing.T, change func(task []byte) []byte) conversation {
	t.Helper()
	w := newWorld(t, peertest.People(23, 31), peertest.People(40, 17), peertest.People(15, 22))
	c := conversation{Questions: []query.ID{w.put(t, w.trial.CountBySex(), time.Minute), w.put(t, w.trial.MeanBySex(), time.Minute)}}
	for _, entry := range w.log.entries {
		c.Entries = append(c.Entries, entry)
	}
	network := &tap{Network: w.end, change: change}
	w.drive(t, w.through(t, network))
	for _, id := range c.Questions {
		result, err := json.Marshal(w.result(t, id))
		require.NoError(t, err)
		c.Results = append(c.Results, result)
		w.proofs(t, id, 3)
	}
	network.mu.Lock()
	defer network.mu.Unlock()
	c.Exchanges = network.heard
	return c
}

// TestRecord writes what the versions' tests replay, see testdata/ORIGIN.md.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("records only when told where: -record FILE")
	}
	inBubble(t, func(t *testing.T) {
		raw, err := json.Marshal(converse(t, nil))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(*record, append(raw, '\n'), 0o600))
	})
}
