package raw

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// behindLink is a store that is reached by a symbolic link, as after a move to another disk.
func behindLink(t *testing.T) (s *site, dir string) {
	t.Helper()
	there, link := t.TempDir(), filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Symlink(there, link))
	s = &site{cfg: Config{Dir: filepath.Join(link, "raw"), KeyFile: newKey(t)}}
	s.open(t)
	return s, filepath.Join(there, "raw")
}

// TestWhatIsSentTwiceAtOnceIsKept: both senders are told that it is there.
func TestWhatIsSentTwiceAtOnceIsKept(t *testing.T) {
	t.Parallel()
	s, _ := behindLink(t)
	for i := range 100 {
		var senders sync.WaitGroup
		kept := make(chan Digest, 2)
		for range 2 {
			senders.Go(func() {
				d, _, _, err := s.Put(t.Context(), strings.NewReader(fmt.Sprint("patient ", i)), noLimit, Origin{})
				if err != nil {
					t.Error(err)
				}
				kept <- d
			})
		}
		senders.Wait()
		require.NoError(t, s.Verify(t.Context(), <-kept))
	}
}

// TestSendingAgainRepairs: a copy that is damaged, or one of a backup that is, whether the
// folder is reached by a link or not; and it stays when what nobody names is swept.
func TestSendingAgainRepairs(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) (*site, string){
		"behind a link": behindLink,
		"a folder": func(t *testing.T) (*site, string) {
			s := onDisk(t)
			return s, s.cfg.Dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := open(t)
			damaged, restored := put(t, s.Store, []byte("a patient")), put(t, s.Store, []byte("another"))
			file, err := filepath.EvalSymlinks(filepath.Join(dir, Path(damaged)))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
			require.NoError(t, os.Remove(filepath.Join(dir, Path(restored))))
			require.NoError(t, os.WriteFile(filepath.Join(dir, Path(restored)), []byte("x"), 0o600))
			require.Error(t, s.Verify(t.Context(), damaged))
			require.Error(t, s.Verify(t.Context(), restored))
			put(t, s.Store, []byte("a patient"))
			put(t, s.Store, []byte("another"))
			s.later(t, 100*time.Hour)
			_, err = s.Sweep(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.Verify(t.Context(), damaged))
			require.NoError(t, s.Verify(t.Context(), restored))
		})
	}
}

// TestSendingAgainRepairsABucket whose index names a file that is gone.
func TestSendingAgainRepairsABucket(t *testing.T) {
	t.Parallel()
	s := inS3(t)
	d := put(t, s.Store, []byte("a patient"))
	require.NoError(t, s.files.remove(context.Background(), filesFolder))
	require.ErrorIs(t, s.Verify(t.Context(), d), ErrNotFound)
	s.later(t, 24*time.Hour)
	require.Equal(t, d, put(t, s.Store, []byte("a patient")))
	require.NoError(t, s.Verify(t.Context(), d))
	s.later(t, 200*time.Hour)
	_, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Verify(t.Context(), d))
}
