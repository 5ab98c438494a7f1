package ledger_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/ledger"
)

// The file list of the example in C2SP tlog-tiles, section "Partial Tiles": a tree
// of size 70,000 has 273 full and one partial tile of width 112 at level 0, one
// full and one of width 17 at level 1, and one of width 1 at level 2.
func TestExportWritesFilesOfSpecification(t *testing.T) {
	t.Parallel()
	files := exported(t, 70_000)
	require.Contains(t, files, "tile/0/272")
	require.Contains(t, files, "tile/0/273.p/112")
	require.Contains(t, files, "tile/1/000")
	require.Contains(t, files, "tile/1/001.p/17")
	require.Contains(t, files, "tile/2/000.p/1")
	require.Contains(t, files, "tile/entries/272")
	require.Contains(t, files, "tile/entries/273.p/112")
	require.Len(t, files, 1+2*274+2+1)
}

func TestExportAgain(t *testing.T) {
	t.Parallel()
	db, dir := openDB(t), filepath.Join(t.TempDir(), "new", "folder")
	src := ledger.NewPublished(db)
	for _, size := range []int64{3, 3, 300, 700} {
		grow(t, db, size)
		publish(t, db)
		c, err := ledger.Export(t.Context(), src, dir)
		require.NoError(t, err)
		require.Equal(t, size, c.Size)
		report, err := ledger.Verify(t.Context(), ledger.Dir(os.DirFS(dir)), trusting(t, 2))
		require.NoError(t, err)
		require.Equal(t, size, report.Entries)
	}
	leftovers, err := filepath.Glob(filepath.Join(dir, "tile", "*", ".new-*"))
	require.NoError(t, err)
	require.Empty(t, leftovers)
}

func TestExportRefusesToRewrite(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	grow(t, db, 300)
	publish(t, db)

	t.Run("a tile that differs", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
		require.NoError(t, err)
		path := filepath.Join(dir, "tile", "0", "000")
		require.NoError(t, os.WriteFile(path, []byte("altered"), 0o600))
		_, err = ledger.Export(t.Context(), ledger.NewPublished(db), dir)
		require.ErrorIs(t, err, ledger.ErrRewritten)
		require.ErrorContains(t, err, "tile/0/000")
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "altered", string(kept), "evidence is not overwritten")
	})
	t.Run("a shorter log over a longer", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
		require.NoError(t, err)
		_, err = ledger.Export(t.Context(), ledger.Dir(exported(t, 299)), dir)
		require.ErrorIs(t, err, ledger.ErrRewritten)
	})
}

// The checkpoint is written last: an export that fails half-way leaves the old
// checkpoint and everything it covers.
func TestFailedExportLeavesOldCheckpoint(t *testing.T) {
	t.Parallel()
	db, dir := openDB(t), t.TempDir()
	grow(t, db, 300)
	publish(t, db)
	_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
	require.NoError(t, err)
	grow(t, db, 700)
	publish(t, db)
	for _, path := range []string{"tile/entries/001", "tile/0/002.p/188", "tile/1/000.p/2"} {
		_, err := ledger.Export(t.Context(), broken{ledger.NewPublished(db), path}, dir)
		require.ErrorIs(t, err, errBroken)
		report, err := ledger.Verify(t.Context(), ledger.Dir(os.DirFS(dir)), trusting(t, 2))
		require.NoError(t, err)
		require.EqualValues(t, 300, report.Entries)
	}
}
