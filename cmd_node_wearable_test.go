package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

func TestAWearablesFileIsSentWithItsPatient(t *testing.T) {
	t.Parallel()
	const answer = `{"data":[{"bpm":60,"timestamp":"2026-03-01T08:00:00Z"}]}` + "\n"
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, answer)
	require.NoError(t, w.Close())
	for name, content := range map[string][]byte{"plain": []byte(answer), "gzip": zipped.Bytes()} {
		path := filepath.Join(t.TempDir(), "heart.json")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		cmd := newNodeIngest()
		require.NoError(t, cmd.ParseFlags([]string{"--patient", "p-17", "--wearable", "oura", path}))
		sent, err := openUpload(cmd, path)
		require.NoError(t, err)
		read := 0
		for rec, err := range wearable.Read(t.Context(), sent, fhir.Options{}) {
			read++
			require.NoError(t, err, name)
			require.Equal(t, "p-17", rec.Resource.(*observation.Series).Person, name)
		}
		require.Equal(t, 1, read, name)
		require.NoError(t, sent.Close())

		cmd = newNodeIngest()
		require.NoError(t, cmd.ParseFlags(nil))
		sent, err = openUpload(cmd, path)
		require.NoError(t, err)
		raw, err := io.ReadAll(sent)
		require.NoError(t, err)
		require.Equal(t, content, raw, "without the flags a file goes as it is")
		require.NoError(t, sent.Close())
	}
}

func TestIngestOfAWearableNeedsItsPatient(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--wearable", "oura"}, {"--patient", "p"}, {"--timezone", "UTC"}, {"--patient", "", "--wearable", "oura"}} {
		c := call(t, append([]string{"node", "ingest", "heart.json", "--dir", t.TempDir()}, args...)...)
		require.Equal(t, 2, c.status, args)
		require.Contains(t, c.stderr, "--patient, --wearable", args)
	}
}
