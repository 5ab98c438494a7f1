package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// TestMessagesOfAnInterfaceBecomeRows sends messages to a running node, which has no
// hub, and waits for what they say.
func TestMessagesOfAnInterfaceBecomeRows(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	peer, err := transport.PeerID(key.DID())
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "node")
	_, err = Init(t.Context(), dir, newCertifier(t).invite(t, "north", peer.String()))
	require.NoError(t, err)
	n, err := Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir(), MLLP: MLLP{Listen: "127.0.0.1:0"}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})

	conn, err := net.Dial("tcp", n.MLLPAddress())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	frames := hl7v2.NewFrameReader(conn, 0)
	const messages = 20
	for i := range messages {
		require.NoError(t, hl7v2.WriteFrame(conn, fmt.Appendf(nil,
			"MSH|^~\\&|LAB|H1|NODE|H1|20260301080000||ORU^R01|M%d|P|2.5.1\rPID|1||%d^^^H1||X^Y||19700101|F\rOBR|1||F%d|2345-7^^LN|||20260301\r"+
				"OBX|1|NM|2345-7^Glucose^LN||95|mg/dL|||||F|||20260301075900\r", i, i%5, i)))
	}
	for i := range messages {
		answer, err := frames.Next()
		require.NoError(t, err)
		require.True(t, bytes.Contains(answer, fmt.Appendf(nil, "MSA|AA|M%d\r", i)), "%q", answer)
	}
	require.Eventually(t, func() bool {
		status, err := n.Status(t.Context())
		require.NoError(t, err)
		return status.Tables["person"] == 5 && status.Tables["measurement"]+status.Tables["observation"] == messages
	}, time.Minute, 20*time.Millisecond)
}

func TestMLLPOnTheNetworkIsSecured(t *testing.T) {
	t.Parallel()
	for _, good := range []MLLP{{}, {Listen: "127.0.0.1:2575"}, {Listen: "localhost:2575"}, {Listen: "[::1]:0"}, {Listen: ":2575", Certificate: "c", Key: "k"}} {
		require.NoError(t, good.validate())
	}
	for _, bad := range []MLLP{
		{Listen: ":2575"},
		{Listen: "0.0.0.0:2575"},
		{Listen: "10.0.0.1:2575"},
		{Listen: "hospital.example:2575"},
		{Listen: "nowhere"},
		{Listen: "127.0.0.1:0", Key: "k"},
		{Certificate: "c", Key: "k"},
	} {
		require.Error(t, bad.validate(), "%+v", bad)
	}
}
