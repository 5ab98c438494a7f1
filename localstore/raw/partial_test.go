package raw

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

var someID = PartialID{1, 2, 3}

func whole(p *Partial) ([]byte, error) {
	r, err := p.Open(context.Background())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestContentInAnyPartsIsTheContent: however it is cut, wherever a request breaks off
// and whenever the process starts anew, what counts as come is what is there.
func TestContentInAnyPartsIsTheContent(t *testing.T) {
	t.Parallel()
	each(t, contentInAnyParts)
}

func contentInAnyParts(t *testing.T, s *site) {
	rapid.Check(t, func(r *rapid.T) {
		require.NoError(r, s.Partial(someID).Remove(t.Context()))
		content := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(r, "content")
		for {
			if rapid.Bool().Draw(r, "restart") {
				s.open(r)
			}
			p := s.Partial(someID)
			at, err := p.Size(context.Background())
			require.NoError(r, err)
			if at == int64(len(content)) {
				break
			}
			rest := content[at:]
			n := rapid.IntRange(0, len(rest)).Draw(r, "bytes")
			source := io.Reader(bytes.NewReader(rest[:n]))
			breaks := rapid.Bool().Draw(r, "breaks off")
			if breaks {
				source = io.MultiReader(source, iotest.ErrReader(io.ErrUnexpectedEOF))
			}
			f := &failing{at: rapid.IntRange(0, 40).Draw(r, "step that fails")}
			if rapid.Bool().Draw(r, "disk fails") {
				s.disk = f.disk()
			}
			got, err := p.Append(t.Context(), at, source, int64(len(rest)))
			s.disk = realDisk
			require.LessOrEqual(r, got, int64(n))
			now, serr := p.Size(context.Background())
			require.NoError(r, serr)
			require.GreaterOrEqual(r, now, at+got, "what was acknowledged is there")
			require.LessOrEqual(r, now, at+int64(n), "and no more than was sent")
			switch {
			case f.failed:
				require.ErrorIs(r, err, sqldb.ErrFull)
			case breaks:
				require.ErrorIs(r, err, io.ErrUnexpectedEOF)
				require.EqualValues(r, n, got, "what came before it broke off is kept")
			default:
				require.NoError(r, err)
			}
		}
		source, err := s.Partial(someID).Open(t.Context())
		require.NoError(r, err)
		defer source.Close()
		d, size, _, err := s.Put(t.Context(), source, int64(len(content)), Origin{})
		require.NoError(r, err)
		require.EqualValues(r, len(content), size)
		require.Equal(r, Digest(sha256.Sum256(content)), d)
	})
}

func TestALargeRequestIsKeptInParts(t *testing.T) {
	t.Parallel()
	s := onDisk(t)
	p := s.Partial(someID)
	content := random(maxPart + 1000)
	n, err := p.Append(t.Context(), 0, io.MultiReader(bytes.NewReader(content), iotest.ErrReader(io.ErrUnexpectedEOF)), noLimit)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualValues(t, len(content), n)
	require.Len(t, s.names(t), 2)
	got, err := whole(p)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

func TestWhatDoesNotBelongIsRefused(t *testing.T) {
	t.Parallel()
	p := newStore(t).Partial(someID)
	n, err := p.Append(t.Context(), 0, strings.NewReader("0123"), 10)
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	for _, offset := range []int64{0, 3, 5, -1} {
		_, err = p.Append(t.Context(), offset, strings.NewReader("4"), 10)
		require.ErrorIs(t, err, ErrOffset)
	}
	_, err = p.Append(t.Context(), 4, strings.NewReader("4567"), 3)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = p.Append(t.Context(), 4, strings.NewReader("4"), 0)
	require.ErrorIs(t, err, ErrTooLarge)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Append(canceled, 4, strings.NewReader("4"), 10)
	require.ErrorIs(t, err, context.Canceled)
	got, err := whole(p)
	require.NoError(t, err)
	require.Equal(t, "0123", string(got))
}

func TestPartsAreEncryptedAndBoundToTheirPlace(t *testing.T) {
	t.Parallel()
	each(t, partsAreBound)
}

func partsAreBound(t *testing.T, s *site) {
	texts := []string{"Jane Doe, born 1931; ", "Jane Roe, born 1932; ", "John Doe, born 1933; "}
	for _, id := range []PartialID{someID, {9}} {
		at := int64(0)
		for _, text := range texts {
			n, err := s.Partial(id).Append(t.Context(), at, strings.NewReader(text), noLimit)
			require.NoError(t, err)
			at += n
		}
	}
	p, other := s.Partial(someID), s.Partial(PartialID{9})
	list, err := p.parts(t.Context())
	require.NoError(t, err)
	name := func(p *Partial, i int) string { return p.folder() + "/" + list[i].name() }
	for _, file := range s.names(t) {
		require.NotContains(t, string(s.stored(t, file)), "born")
	}
	good, first, others := s.stored(t, name(p, 1)), s.stored(t, name(p, 0)), s.stored(t, name(other, 1))
	for what, bad := range map[string][]byte{
		"last bit": flip(good, len(good)-1), "cut": good[:len(good)-1], "empty": {}, "its neighbor": first, "the same of another file": others,
	} {
		s.overwrite(t, name(p, 1), bad)
		got, err := whole(p)
		require.ErrorIs(t, err, ErrDamaged, what)
		require.Equal(t, texts[0], string(got), what)
	}
	if s.wire == nil {
		require.NoError(t, os.Remove(filepath.Join(s.dir, name(p, 1))))
	} else {
		require.NoError(t, s.cfg.Bucket.Remove(t.Context(), name(p, 1)))
	}
	_, err = p.Size(context.Background())
	require.ErrorIs(t, err, ErrDamaged, "a part is missing")

	require.NoError(t, p.Remove(t.Context()))
	n, err := p.Size(context.Background())
	require.NoError(t, err)
	require.Zero(t, n)
	ids, err := s.Partials(t.Context())
	require.NoError(t, err)
	require.Equal(t, []PartialID{{9}}, ids)
}

// TestEveryStepOfAPartMayFail: no step makes more count as come than is there.
func TestEveryStepOfAPartMayFail(t *testing.T) {
	t.Parallel()
	content := random(2 << 20)
	for step := 0; ; step++ {
		s := newStore(t)
		f := &failing{at: step}
		s.disk = f.disk()
		p := s.Partial(someID)
		n, err := p.Append(t.Context(), 0, bytes.NewReader(content), noLimit)
		s.disk = realDisk
		if !f.failed {
			require.NoError(t, err)
			require.Greater(t, step, 10, "all steps were tried")
			return
		}
		require.ErrorIs(t, err, sqldb.ErrFull, "step %d", step)
		require.Zero(t, n)
		size, err := p.Size(context.Background())
		require.NoError(t, err)
		require.Contains(t, []int64{0, int64(len(content))}, size, "step %d: whole or not at all", step)
		unfinished, err := os.ReadDir(s.unfinished())
		require.NoError(t, err)
		require.Empty(t, unfinished, "step %d", step)
		got, err := whole(p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[:size], got), "step %d", step)
	}
}

func TestFullDiskKeepsTheParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	s := storeIn(t, dir)
	p := s.Partial(someID)
	content := random(3 << 20)
	_, err := p.Append(t.Context(), 0, bytes.NewReader(content[:1<<20]), noLimit)
	require.NoError(t, err)
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	_, err = p.Append(t.Context(), 1<<20, bytes.NewReader(content[1<<20:]), noLimit)
	require.ErrorIs(t, err, sqldb.ErrFull)
	require.NoError(t, os.Remove(ballast))
	_, err = p.Append(t.Context(), 1<<20, bytes.NewReader(content[1<<20:]), noLimit)
	require.NoError(t, err)
	got, err := whole(p)
	require.NoError(t, err)
	require.True(t, slices.Equal(content, got))
}

// TestPartsOfTwoProcesses: each may have added to the same end, not knowing of the other.
// What either was told is there stays.
func TestPartsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		p, content := s.Partial(someID), []byte("0123456789")
		for _, next := range []part{{0, 4}, {0, 2}, {2, 1}, {2, 6}, {4, 3}} {
			n, err := p.add(t.Context(), bufio.NewReader(bytes.NewReader(content[next.start:next.start+next.size])), next.start, 100)
			require.NoError(t, err)
			require.Equal(t, next.size, n)
		}
		got, err := whole(p)
		require.NoError(t, err)
		require.Equal(t, "01234567", string(got))
		_, err = p.Append(t.Context(), 8, bytes.NewReader(content[8:]), 2)
		require.NoError(t, err)
		got, err = whole(p)
		require.NoError(t, err)
		require.Equal(t, content, got)
	})
}

func TestParsePartialID(t *testing.T) {
	t.Parallel()
	got, err := ParsePartialID(someID.String())
	require.NoError(t, err)
	require.Equal(t, someID, got)
	for _, bad := range []string{"", "00", "../" + someID.String()[3:], strings.ToUpper(PartialID{0xab}.String()), someID.String() + "0"} {
		_, err := ParsePartialID(bad)
		require.Error(t, err, bad)
	}
}
