package node

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// TestASecondProcessOnlyLoads: it takes a file and loads it without the node, and leaves
// to the node what is the node's.
func TestASecondProcessOnlyLoads(t *testing.T) {
	t.Parallel()
	dir, _ := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, DSN: sqltest.PostgresDSN(t), Raw: t.TempDir(), Circuits: t.TempDir()}
	first, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	defer first.Close()

	cfg.Dir, cfg.Process = filepath.Join(t.TempDir(), "second"), "second"
	require.NoError(t, os.CopyFS(cfg.Dir, os.DirFS(dir)))
	for _, name := range []string{keyFile, consentFile, rawKeyFile, tokenFile} {
		require.NoError(t, os.Chmod(filepath.Join(cfg.Dir, name), 0o600))
	}
	second, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	require.False(t, second.Connected())
	status, err := second.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "second", status.Process)
	status, err = first.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Process)
	_, err = second.RecordConsent(t.Context(), "a", message.Envelope{})
	require.ErrorIs(t, err, errNotHere)
	require.Nil(t, second.outbox, "whether the node is held is known in its directory only")
	cards, err := second.openCDS()
	require.NoError(t, err)
	require.Nil(t, cards)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- second.Run(ctx) }()

	token, err := os.ReadFile(filepath.Join(dir, tokenFile))
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, second.URL()+"/v1/ingest/files", bytes.NewReader([]byte(`{"resourceType":"Patient","id":"a"}`)))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusAccepted, answer.StatusCode, string(body))
	var done ingest.Job
	require.Eventually(t, func() bool { // of the node, which sees what the other did
		list, err := first.ingest.Jobs(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		done = list[0]
		return done.Attempt > 0
	}, 10*time.Minute, 10*time.Millisecond, "it does the job, however that ends without a vocabulary")
	require.NoError(t, first.raw.Verify(t.Context(), done.File), "it is in the raw store of both")
	cancel()
	require.NoError(t, <-ran)
}

func TestWhatASecondProcessNeeds(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"its own SQLite":       {Process: "second", Raw: "/raw"},
		"a folder of its own":  {Process: "second", DSN: "postgres:///x"},
		"a name with a space":  {Process: "the second", DSN: "postgres:///x", Raw: "/raw"},
		"a name that is empty": {Process: "-", DSN: "postgres:///x", Raw: "/raw"},
	} {
		cfg.Dir, cfg.Circuits = t.TempDir(), t.TempDir()
		_, err := Open(t.Context(), cfg)
		require.ErrorContains(t, err, "process", name)
	}
}

// TestACopyOfANodeDoesNotRun: it would be a second node of one name at the hub.
func TestACopyOfANodeDoesNotRun(t *testing.T) {
	t.Parallel()
	dir, _ := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, DSN: sqltest.PostgresDSN(t), Raw: t.TempDir(), Circuits: t.TempDir()}
	first, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	defer first.Close()
	require.NoError(t, first.queue.Claim(t.Context()))

	cfg.Dir = filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(cfg.Dir, os.DirFS(dir)))
	for _, name := range []string{keyFile, consentFile, rawKeyFile, tokenFile} {
		require.NoError(t, os.Chmod(filepath.Join(cfg.Dir, name), 0o600))
	}
	second, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	require.ErrorIs(t, second.Run(t.Context()), errTwice)
}

// TestAProcessOfAnotherRawStoreDoesNotStart: loads of files that it took would be dead at
// the others.
func TestAProcessOfAnotherRawStoreDoesNotStart(t *testing.T) {
	t.Parallel()
	dir, _ := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, DSN: sqltest.PostgresDSN(t), Raw: t.TempDir(), Circuits: t.TempDir()}
	n, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	file, _, err := n.ingest.Accept(t.Context(), "a.json", strings.NewReader(`{"resourceType":"Patient","id":"a"}`))
	require.NoError(t, err)
	require.NoError(t, n.Close())

	right, wrong := cfg.Raw, cfg
	wrong.Raw, wrong.Process = t.TempDir(), "second"
	_, err = Open(t.Context(), wrong)
	require.ErrorIs(t, err, raw.ErrOther)
	require.ErrorContains(t, err, "raw (in node.yaml or TRIALMESH_NODE_RAW)")
	require.ErrorContains(t, err, "node adopt-raw")
	_, err = Fsck(t.Context(), wrong, nil)
	require.ErrorIs(t, err, raw.ErrOther)
	_, err = ReencryptRaw(t.Context(), wrong, nil)
	require.ErrorIs(t, err, raw.ErrOther)

	cfg.Raw = filepath.Join(t.TempDir(), "moved")
	require.NoError(t, os.CopyFS(cfg.Raw, os.DirFS(right)))
	n, err = Open(t.Context(), cfg)
	require.NoError(t, err, "a copy of the whole store")
	require.NoError(t, n.raw.Verify(t.Context(), file))
	require.NoError(t, n.Close())

	require.NoError(t, AdoptRaw(t.Context(), wrong))
	_, err = Open(t.Context(), cfg)
	require.ErrorIs(t, err, raw.ErrOther)
	n, err = Open(t.Context(), wrong)
	require.NoError(t, err)
	require.NoError(t, n.Close())
	report, err := Fsck(t.Context(), wrong, nil)
	require.NoError(t, err)
	require.Len(t, report.Findings, 1, "the file that it has not is lost")
}
