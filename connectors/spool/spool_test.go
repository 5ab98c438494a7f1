package spool

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWhatIsWrittenComesBackAtAnyOffset, and only through the file: it has no name and what
// is on disk says nothing.
func TestWhatIsWrittenComesBackAtAnyOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Repeat([]byte("person 17 "), rapid.IntRange(2, 500).Draw(rt, "size"))
		f, err := Create()
		require.NoError(rt, err)
		defer func() { require.NoError(rt, f.Close()) }()
		cut := rapid.IntRange(0, len(b)).Draw(rt, "cut")
		for _, part := range [][]byte{b[:cut], b[cut:]} {
			_, err := f.Write(part)
			require.NoError(rt, err)
		}
		require.EqualValues(rt, len(b), f.Size())

		from := rapid.IntRange(0, len(b)-1).Draw(rt, "from")
		got, err := io.ReadAll(io.NewSectionReader(f, int64(from), f.Size()))
		require.NoError(rt, err)
		require.Equal(rt, b[from:], got)
		_, err = f.ReadAt(make([]byte, 1), f.Size())
		require.ErrorIs(rt, err, io.EOF)

		_, err = os.Lstat(f.disk.Name())
		require.ErrorIs(rt, err, os.ErrNotExist)
		disk, err := io.ReadAll(io.NewSectionReader(f.disk, 0, f.Size()))
		require.NoError(rt, err)
		require.Len(rt, disk, len(b))
		require.NotContains(rt, string(disk), "person 17")
	})
}
