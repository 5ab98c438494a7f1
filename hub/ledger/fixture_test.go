package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

const origin = "hub.example.org/log"

// key returns a key that is the same in every run.
func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var (
	logKey    = key(1)
	cosigners = map[string]ed25519.PrivateKey{"alpha.example.org": key(2), "beta.example.org": key(3)}
	noon      = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

// trusting returns the trust in the log's key and, with quorum > 0, in both cosigners.
func trusting(t testing.TB, quorum int) cosign.Trust {
	t.Helper()
	vkey, err := cosign.VerifierKey(origin, public(logKey))
	require.NoError(t, err)
	trust := cosign.Trust{Origin: origin, Keys: []string{vkey}}
	if quorum > 0 {
		trust.Policy = cosign.Threshold(quorum, cosignerKeys(t)...)
	}
	return trust
}

// cosignerKeys returns the keys of both cosigners.
func cosignerKeys(t testing.TB) (keys []string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(cosigners)) {
		vkey, err := cosign.CosignerKey(name, public(cosigners[name]))
		require.NoError(t, err)
		keys = append(keys, vkey)
	}
	return keys
}

// openDB returns a database with an empty log.
func openDB(t testing.TB) *sqldb.DB {
	t.Helper()
	db := sqltest.SQLite(t)
	require.NoError(t, sqldb.Migrate(t.Context(), db, "ledger", ledger.Migrations))
	return db
}

// entry returns the content of entry i in tests: different for every i, of
// different lengths.
func entry(i int64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "entry %d;", i), 1+int(i%3))
}

// grow appends entries until the log has size.
func grow(t testing.TB, db *sqldb.DB, size int64) {
	t.Helper()
	write(t, db, func(tx *sqldb.Tx) {
		have, err := ledger.Size(t.Context(), tx)
		require.NoError(t, err)
		var batch [][]byte
		for i := have; i < size; i++ {
			batch = append(batch, entry(i))
		}
		first, err := ledger.Append(t.Context(), tx, batch)
		require.NoError(t, err)
		require.Equal(t, have, first)
	})
}

func write(t testing.TB, db *sqldb.DB, fn func(tx *sqldb.Tx)) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		fn(tx)
		return nil
	}))
}

// sign signs a checkpoint by the log and by both cosigners.
func sign(t testing.TB, c cosign.Checkpoint) []byte {
	t.Helper()
	signer, err := cosign.NewSigner(origin, logKey)
	require.NoError(t, err)
	signed, err := c.Sign(signer)
	require.NoError(t, err)
	for _, name := range slices.Sorted(maps.Keys(cosigners)) {
		signed, err = cosign.Cosign(signed, name, cosigners[name], noon)
		require.NoError(t, err)
	}
	return signed
}

// publish signs and stores the checkpoint of the whole log.
func publish(t testing.TB, db *sqldb.DB) []byte {
	t.Helper()
	var signed []byte
	write(t, db, func(tx *sqldb.Tx) {
		head, err := ledger.Head(t.Context(), tx, origin)
		require.NoError(t, err)
		s, err := ledger.AddCheckpoint(t.Context(), tx, trusting(t, 2), sign(t, head))
		require.NoError(t, err)
		signed = s.Note
	})
	return signed
}

// exported returns a published log of the given size as files in memory.
func exported(t testing.TB, size int64) fstest.MapFS {
	t.Helper()
	db := openDB(t)
	grow(t, db, size)
	publish(t, db)
	dir := t.TempDir()
	_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
	require.NoError(t, err)
	return load(t, dir)
}

// large returns a log with tiles of three levels, made once and shared: tests do
// not change it.
func large(t testing.TB) fstest.MapFS {
	t.Helper()
	largeLog.Do(func() { largeFiles = exported(t, largeSize) })
	require.NotNil(t, largeFiles)
	return largeFiles
}

const largeSize = 66_000

var (
	largeLog   sync.Once
	largeFiles fstest.MapFS
)

// load reads a directory into memory.
func load(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	disk := os.DirFS(dir)
	require.NoError(t, fs.WalkDir(disk, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(disk, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	}))
	return files
}

// edited is a log of which one file reads differently.
type edited struct {
	ledger.Source
	path string
	data []byte // nil: missing
}

func (e edited) Read(ctx context.Context, path string) ([]byte, error) {
	switch {
	case path != e.path:
		return e.Source.Read(ctx, path)
	case e.data == nil:
		return nil, ledger.ErrNotFound
	default:
		return e.data, nil
	}
}
