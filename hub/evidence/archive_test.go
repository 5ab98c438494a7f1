package evidence_test

import (
	"archive/zip"
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/canonical"
)

// archived returns the complete question's copy as one file, and its folder.
func archived(t testing.TB, w *world) (file []byte, dir string) {
	t.Helper()
	dir = t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.complete}, dir)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, evidence.WriteArchive(&out, os.DirFS(dir)))
	return out.Bytes(), dir
}

func openArchive(t testing.TB, file []byte) *evidence.Dir {
	t.Helper()
	copied, err := evidence.OpenArchive(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	return copied
}

func TestArchiveVerifiesAsItsFolder(t *testing.T) {
	t.Parallel()
	w := network(t)
	file, dir := archived(t, w)
	var again bytes.Buffer
	require.NoError(t, evidence.WriteArchive(&again, os.DirFS(dir)))
	require.Equal(t, file, again.Bytes(), "the same copy, the same bytes")

	want, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(os.DirFS(dir)), w.trust, "", w.complete)
	require.NoError(t, err)
	copied := openArchive(t, file)
	scope, partial, err := copied.Scope()
	require.NoError(t, err)
	require.True(t, partial)
	report, err := evidence.Verify(t.Context(), copied, w.trust, "", scope)
	require.NoError(t, err)
	require.Equal(t, want, report)

	report, err = evidence.Verify(t.Context(), openArchive(t, repack(t, file, "folder/", nil)), w.trust, "", scope)
	require.NoError(t, err)
	require.Equal(t, want, report, "a folder that somebody else packed")
}

// repack writes an archive again, its files below a folder and changed.
func repack(t testing.TB, file []byte, folder string, change func(name string, raw []byte) []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	var out bytes.Buffer
	to := zip.NewWriter(&out)
	for _, f := range from.File {
		r, err := f.Open()
		require.NoError(t, err)
		raw, err := io.ReadAll(r)
		require.NoError(t, err)
		if change != nil {
			raw = change(f.Name, raw)
		}
		w, err := to.Create(folder + f.Name)
		require.NoError(t, err)
		_, err = w.Write(raw)
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	return out.Bytes()
}

func TestArchivesOfSomethingElseAreRefused(t *testing.T) {
	t.Parallel()
	_, err := evidence.OpenArchive(bytes.NewReader([]byte("no zip")), 6)
	require.ErrorContains(t, err, "not a zip file")
	_, err = evidence.OpenArchive(bytes.NewReader(nil), evidence.MaxArchive+1)
	require.ErrorContains(t, err, "256 MiB")

	var out bytes.Buffer
	bomb := zip.NewWriter(&out)
	for _, name := range []string{"a", "b", "c"} {
		_, err := bomb.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, UncompressedSize64: 400 << 20})
		require.NoError(t, err)
	}
	require.NoError(t, bomb.Close())
	_, err = evidence.OpenArchive(bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.ErrorContains(t, err, "unpacks to more than")
}

// TestArchivesOfManyFilesAreRefused: by their number, and by the length of their list before it
// is all in memory.
func TestArchivesOfManyFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]int{"": 100_001, strings.Repeat("long", 1<<12): 1_300} {
		var out bytes.Buffer
		many := zip.NewWriter(&out)
		for range files {
			_, err := many.CreateRaw(&zip.FileHeader{Name: name})
			require.NoError(t, err)
		}
		require.NoError(t, many.Close())
		_, err := evidence.OpenArchive(bytes.NewReader(out.Bytes()), int64(out.Len()))
		require.ErrorContains(t, err, "lists more than 100000 files")
	}
}

// FuzzArchive reads arbitrary bytes as an archive: whatever they are, nothing verifies in them.
func FuzzArchive(f *testing.F) {
	f.Add([]byte("PK"))
	var empty bytes.Buffer
	require.NoError(f, zip.NewWriter(&empty).Close())
	f.Add(empty.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		copied, err := evidence.OpenArchive(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		w := network(t)
		report, err := evidence.VerifyQuery(t.Context(), copied, w.trust, "", w.complete)
		require.True(t, err != nil || len(report.Failed()) > 0)
	})
}

var update = flag.Bool("update", false, "write the evidence that tests of readers verify, in other languages too")

// exampleDir has evidence of a complete question, of one day and for all time.
const exampleDir = "../page/testdata"

func TestExampleVerifies(t *testing.T) {
	t.Parallel()
	if *update {
		w := network(t)
		file, _ := archived(t, w)
		trust, err := canonical.Marshal(w.trust)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(exampleDir, "count.zip"), file, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(exampleDir, "trust.json"), append(trust, '\n'), 0o600))
	}
	file, err := os.ReadFile(filepath.Join(exampleDir, "count.zip"))
	require.NoError(t, err)
	raw, err := os.ReadFile(filepath.Join(exampleDir, "trust.json"))
	require.NoError(t, err)
	trust, err := evidence.ParseTrust(raw)
	require.NoError(t, err)
	copied := openArchive(t, file)
	scope, _, err := copied.Scope()
	require.NoError(t, err)
	report, err := evidence.Verify(t.Context(), copied, trust, "", scope)
	require.NoError(t, err)
	require.Empty(t, report.Failed())
	require.Len(t, passed(report, evidence.CheckAccessProof), 3)
}

// TestArchivesThatNobodyCouldOpenAreNotWritten, so that an export says at once that a folder is needed.
func TestArchivesThatNobodyCouldOpenAreNotWritten(t *testing.T) {
	t.Parallel()
	many := make(fstest.MapFS)
	for i := range 100_001 {
		many[strconv.Itoa(i)] = new(fstest.MapFile)
	}
	require.ErrorContains(t, evidence.WriteArchive(io.Discard, many), "export it to a folder")
	delete(many, "0")
	require.NoError(t, evidence.WriteArchive(io.Discard, many))
}
