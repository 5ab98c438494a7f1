package evidence_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// load reads a directory into memory.
func load(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	files := make(fstest.MapFS)
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(dir + "/" + name)
		files[name] = &fstest.MapFile{Data: raw}
		return err
	}))
	return files
}

func TestExportedCopyVerifiesAlone(t *testing.T) {
	t.Parallel()
	w := network(t)
	for name, id := range map[string]query.ID{"complete": w.complete, "repeated": w.repeated, "partial": w.partial, "withheld": w.withheld, "cancelled": w.cancelled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			exported, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: id}, dir)
			require.NoError(t, err)
			require.Empty(t, exported.Failed())

			report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(os.DirFS(dir)), w.trust, "", id)
			require.NoError(t, err)
			require.Equal(t, exported, report)

			ledger, err := evidence.VerifyLedger(t.Context(), evidence.NewDir(os.DirFS(dir)), w.trust, "")
			require.NoError(t, err)
			require.Empty(t, ledger.Failed())
		})
	}
}

func TestExportedLogVerifiesAlone(t *testing.T) {
	t.Parallel()
	w, dir := network(t), t.TempDir()
	exported, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{}, dir)
	require.NoError(t, err)
	require.Empty(t, exported.Failed())
	files := load(t, dir)
	report, err := evidence.VerifyLedger(t.Context(), evidence.NewDir(files), w.trust, "")
	require.NoError(t, err)
	require.Equal(t, exported, report)

	for name := range files {
		if strings.HasPrefix(name, "documents/") {
			delete(files, name)
			report, err := evidence.VerifyLedger(t.Context(), evidence.NewDir(files), w.trust, "")
			require.NoError(t, err)
			requireNames(t, report, name)
			return
		}
	}
	t.Fatal("no documents")
}

// TestExportRefusesAFolderInUse: the log grows, and two versions of it in one
// folder verify as neither.
func TestExportRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	w, dir := network(t), t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.complete}, dir)
	require.NoError(t, err)
	before := load(t, dir)
	for _, id := range []query.ID{w.complete, w.withheld, {}} {
		_, err = evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: id}, dir)
		require.ErrorContains(t, err, dir+" is not empty")
	}
	require.Equal(t, before, load(t, dir))

	mine := t.TempDir()
	require.NoError(t, os.WriteFile(mine+"/notes.txt", []byte("mine"), 0o600))
	_, err = evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.complete}, mine)
	require.ErrorContains(t, err, mine+" is not empty")
	require.Len(t, load(t, mine), 1)
}

// requireNames wants a failed check that names a file.
func requireNames(t testing.TB, report evidence.Report, file string) {
	t.Helper()
	what := strings.TrimSuffix(path.Base(file), ".json") // a document's digest
	if !strings.HasPrefix(file, "documents/") {
		what = file
	}
	require.NotEmpty(t, report.Failed(), file)
	for _, c := range report.Failed() {
		if strings.Contains(c.Subject+" "+c.Detail, what) {
			return
		}
	}
	t.Fatalf("no failed check names %s: %v", file, report.Failed())
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	w, dir := network(t), t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.complete}, dir)
	require.NoError(t, err)
	const perFile = 6 // bits, spread over the file and over the bits of a byte
	for name, file := range load(t, dir) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := load(t, dir)
			for k := range perFile {
				at, bit := k*(len(file.Data)-1)/(perFile-1), byte(1)<<(k%8)
				raw := []byte(string(file.Data))
				raw[at] ^= bit
				files[name] = &fstest.MapFile{Data: raw}
				report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(files), w.trust, "", w.complete)
				require.NoError(t, err)
				requireNames(t, report, name)
			}
		})
	}
}

func TestEveryMissingFileIsFound(t *testing.T) {
	t.Parallel()
	w, dir := network(t), t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.complete}, dir)
	require.NoError(t, err)
	for name := range load(t, dir) {
		if name == "question" {
			continue // without it the copy claims to be whole, which VerifyLedger refuses
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := load(t, dir)
			delete(files, name)
			report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(files), w.trust, "", w.complete)
			require.NoError(t, err)
			requireNames(t, report, name)
		})
	}
}

func TestCopyOfAnotherQuestion(t *testing.T) {
	t.Parallel()
	w, dir := network(t), t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Question: w.withheld}, dir)
	require.NoError(t, err)
	report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(os.DirFS(dir)), w.trust, "", w.complete)
	require.NoError(t, err)
	requireNames(t, report, "question")

	files := load(t, dir)
	delete(files, "question")
	report, err = evidence.VerifyLedger(t.Context(), evidence.NewDir(files), w.trust, "")
	require.NoError(t, err)
	require.NotEmpty(t, report.Failed(), "a copy that claims to be whole")
}
