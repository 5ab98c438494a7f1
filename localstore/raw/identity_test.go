package raw

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestAStoreKeepsItsIdentity with another process, key and time, and no other has it.
func TestAStoreKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		was := s.Identity()
		require.Regexp(t, `^[0-9a-f]{32}$`, was)
		require.NotContains(t, string(s.secret), was)
		s.cfg.Identity = was
		s.later(t, 1000*time.Hour)
		require.Equal(t, was, s.Identity())
		require.NoError(t, RotateKey(s.cfg.KeyFile))
		_, err := Reencrypt(t.Context(), s.cfg, func(Reencrypted) {})
		require.NoError(t, err)
		s.open(t)
		require.Equal(t, was, s.Identity())
		require.NotEqual(t, was, onDisk(t).Identity())

		s.cfg.Identity = onDisk(t).Identity()
		_, err = Open(s.cfg)
		require.ErrorIs(t, err, ErrOther)
	})
}

// TestACopyOfAStoreHasItsIdentity: a store is moved by copying all of it.
func TestACopyOfAStoreHasItsIdentity(t *testing.T) {
	t.Parallel()
	s := onDisk(t)
	d := put(t, s.Store, []byte("a patient"))
	moved := s.cfg
	moved.Identity, moved.Dir = s.Identity(), filepath.Join(t.TempDir(), "moved")
	_, err := Open(moved)
	require.ErrorIs(t, err, ErrOther, "it is empty")
	require.NoFileExists(t, filepath.Join(moved.Dir, secretName), "what is copied then must not meet a secret")
	require.NoError(t, os.RemoveAll(moved.Dir))
	require.NoError(t, os.CopyFS(moved.Dir, os.DirFS(s.cfg.Dir)))
	copied, err := Open(moved)
	require.NoError(t, err)
	require.NoError(t, copied.Verify(t.Context(), d))
}

// TestAnEmptyBucketStaysEmpty when another store is wanted.
func TestAnEmptyBucketStaysEmpty(t *testing.T) {
	t.Parallel()
	s := inS3(t)
	require.NoError(t, s.cfg.Bucket.Remove(t.Context(), s.everything(t)...))
	s.cfg.Identity = s.Identity()
	puts := 0
	s.wire.with(func(r *http.Request, _ int) fault {
		if r.Method != http.MethodGet {
			puts++
		}
		return none
	})
	_, err := Open(s.cfg)
	require.ErrorIs(t, err, ErrOther)
	require.Zero(t, puts)
}

// TestProcessesThatBeginAtOnce on an empty database: with one store they agree, and of two
// stores one is the database's.
func TestProcessesThatBeginAtOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		for name, where := range map[string]func(testing.TB) *site{"disk": onDisk, "s3": inS3} {
			empty := where(t)
			if empty.cfg.Bucket == nil {
				require.NoError(t, os.RemoveAll(empty.cfg.Dir))
			} else {
				require.NoError(t, empty.cfg.Bucket.Remove(t.Context(), secretName))
			}
			forget(t, db)
			for _, err := range atOnce(t, db, empty.cfg, empty.cfg) {
				require.NoError(t, err, name)
			}
			forget(t, db)
			other, errs := where(t), 0
			for _, err := range atOnce(t, db, empty.cfg, other.cfg) {
				if err != nil {
					require.ErrorIs(t, err, ErrOther, name)
					errs++
				}
			}
			require.Equal(t, 1, errs, name)
			require.NoError(t, Adopt(t.Context(), db, other.Store))
			identity, err := Known(t.Context(), db)
			require.NoError(t, err)
			require.Equal(t, other.Identity(), identity)
			require.NoError(t, Remember(t.Context(), db, other.Store))
		}
	})
}

// atOnce starts a process for each of the configurations.
func atOnce(t *testing.T, db *sqldb.DB, configs ...Config) []error {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(configs))
	for i, cfg := range configs {
		all.Go(func() {
			s, err := Open(cfg)
			if err == nil {
				err = Remember(t.Context(), db, s)
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errs
}

// forget makes db one that knows no store.
func forget(t *testing.T, db *sqldb.DB) {
	t.Helper()
	identity, err := Known(t.Context(), db)
	require.NoError(t, err, "also before there is a table")
	if identity == "" {
		require.NoError(t, Migrate(t.Context(), db))
	}
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM raw_store`)
		return err
	}))
}
