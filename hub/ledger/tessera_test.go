package ledger_test

import (
	"bytes"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// leafHashes splits a bundle by tessera's own parser.
func leafHashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, e := range b.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return hashes, nil
}

func logVerifier(t *testing.T) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(trusting(t, 0).Keys[0])
	require.NoError(t, err)
	return v
}

// Tessera's checker accepts what we export, and refuses it damaged.
func TestTesseraChecksExport(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 255, 256, 257, 700, 66_000} {
		db, dir := openDB(t), t.TempDir()
		grow(t, db, size)
		publish(t, db)
		_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
		require.NoError(t, err)
		check := func() error {
			return fsck.New(origin, logVerifier(t), client.FileFetcher{Root: dir}, leafHashes, fsck.Opts{N: 2}).Check(t.Context())
		}
		require.NoError(t, check(), "size %d", size)
		if size == 700 {
			require.NoError(t, os.WriteFile(dir+"/tile/0/001", bytes.Repeat([]byte{1}, 8192), 0o600))
			require.Error(t, check(), "the oracle can fail")
		}
	}
}

// Tessera's client reads our handler, and builds the same proofs as our tables.
func TestTesseraClientReadsHandler(t *testing.T) {
	t.Parallel()
	const size = 66_000
	db := openDB(t)
	grow(t, db, size)
	publish(t, db)
	srv := serve(t, ledger.NewPublished(db))
	root, err := url.Parse(srv.URL + "/")
	require.NoError(t, err)
	fetch, err := client.NewHTTPFetcher(root, srv.Client())
	require.NoError(t, err)

	c, _, _, err := client.FetchCheckpoint(t.Context(), fetch.ReadCheckpoint, logVerifier(t), origin)
	require.NoError(t, err)
	require.EqualValues(t, size, c.Size)
	builder, err := client.NewProofBuilder(t.Context(), c.Size, fetch.ReadTile)
	require.NoError(t, err)
	for _, i := range []int64{0, 255, 256, 65_535, 65_536, 65_999} {
		theirs, err := builder.InclusionProof(t.Context(), uint64(i))
		require.NoError(t, err)
		require.NoError(t, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), c.Size,
			rfc6962.DefaultHasher.HashLeaf(entry(i)), theirs, c.Hash))
		bundle, err := client.GetEntryBundle(t.Context(), fetch.ReadEntryBundle, uint64(i)/256, c.Size)
		require.NoError(t, err)
		require.Equal(t, entry(i), bundle.Entries[i%256])
		consistency, err := builder.ConsistencyProof(t.Context(), uint64(i)+1, c.Size)
		require.NoError(t, err)
		write(t, db, func(tx *sqldb.Tx) {
			ours, err := ledger.ProveInclusion(t.Context(), tx, i, size)
			require.NoError(t, err)
			require.Equal(t, theirs, raw(ours))
			oursToo, err := ledger.ProveConsistency(t.Context(), tx, i+1, size)
			require.NoError(t, err)
			require.Equal(t, consistency, raw(oursToo))
		})
	}
}
