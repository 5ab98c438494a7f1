package extract_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/extract"
)

func TestAStudyHasOneKey(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "studies")
	_, err := extract.ReadKey(folder, "one")
	require.ErrorIs(t, err, fs.ErrNotExist)
	first, err := extract.OpenKey(folder, "one")
	require.NoError(t, err)
	again, err := extract.OpenKey(folder, "one")
	require.NoError(t, err)
	require.Equal(t, first, again)
	other, err := extract.OpenKey(folder, "two")
	require.NoError(t, err)
	require.NotEqual(t, first, other)

	path := filepath.Join(folder, "one.key")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = extract.OpenKey(folder, "one")
	require.ErrorContains(t, err, "others have access")
	require.NoError(t, os.WriteFile(path, []byte("abc"), 0o600))
	require.NoError(t, os.Chmod(path, 0o600))
	_, err = extract.OpenKey(folder, "one")
	require.ErrorContains(t, err, "64 hexadecimal digits")
}

func TestPseudonymsGiveWay(t *testing.T) {
	t.Parallel()
	key := extract.NewKey([32]byte{7})
	free := func(int64) bool { return false }
	first := extract.Pseudonym(key, omop.PersonID{}, free)
	require.Equal(t, first, extract.Pseudonym(key, omop.PersonID{}, free))
	second := extract.Pseudonym(key, omop.PersonID{}, func(n int64) bool { return n == first })
	require.NotEqual(t, first, second)
}

// TestDaysAreSpreadEvenly: 11 numbers of weeks, each about as often as the others.
func TestDaysAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	count := map[int]int{}
	for i := range 2200 {
		key := extract.NewKey([32]byte{byte(i), byte(i >> 8), 1})
		count[extract.Days(key, extract.Dates{Method: extract.Shift, Days: 40, Weekdays: true}, omop.PersonID{})]++
	}
	require.Len(t, count, 11)
	for days, n := range count {
		require.Zero(t, days%7)
		require.LessOrEqual(t, max(days, -days), 35)
		require.InDelta(t, 200, n, 70)
	}
}
