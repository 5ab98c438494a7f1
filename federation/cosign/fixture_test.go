package cosign_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/protocol/identity"
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

// sign signs a checkpoint by the log and by both cosigners.
func sign(t testing.TB, c cosign.Checkpoint) []byte {
	t.Helper()
	signed := signByLog(t, c)
	for _, name := range slices.Sorted(maps.Keys(cosigners)) {
		var err error
		signed, err = cosign.Cosign(signed, name, cosigners[name], noon)
		require.NoError(t, err)
	}
	return signed
}

// signByLog signs a checkpoint by the log alone.
func signByLog(t testing.TB, c cosign.Checkpoint) []byte {
	t.Helper()
	signer, err := cosign.NewSigner(origin, logKey)
	require.NoError(t, err)
	signed, err := c.Sign(signer)
	require.NoError(t, err)
	return signed
}

// history is a log in memory.
type history []tlog.Hash

// grown returns a log whose entries are those of h and, behind them, n of a kind.
func (h history) grown(t testing.TB, n int, kind string) history {
	t.Helper()
	h = slices.Clone(h)
	var size int64
	for tlog.StoredHashCount(size) < int64(len(h)) {
		size++
	}
	for i := range n {
		hashes, err := tlog.StoredHashes(size+int64(i), fmt.Append(nil, kind, i), h)
		require.NoError(t, err)
		h = append(h, hashes...)
	}
	return h
}

// ReadHashes implements tlog.HashReader.
func (h history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = h[index]
	}
	return hashes, nil
}

func (h history) at(t testing.TB, size int64) cosign.Checkpoint {
	t.Helper()
	root, err := tlog.TreeHash(size, h)
	require.NoError(t, err)
	return cosign.Checkpoint{Origin: origin, Size: size, Root: root}
}

// prove is how the log of h proves.
func (h history) prove(_ context.Context, old, present int64) (cosign.Proof, error) {
	root, err := tlog.TreeHash(old, h)
	if err != nil {
		return cosign.Proof{}, err
	}
	path, err := tlog.ProveTree(present, old, h)
	return cosign.Proof{Root: root, Path: path}, err
}

// request is the body that asks to cosign the log's state at size, from old on.
func (h history) request(t testing.TB, old, size int64) []byte {
	t.Helper()
	r := cosign.Request{Old: old, Note: signByLog(t, h.at(t, size))}
	if old > 0 && old < size {
		proof, err := h.prove(t.Context(), old, size)
		require.NoError(t, err)
		r.Proof = proof.Path
	}
	return r.Marshal()
}

// open returns the cosigner of a folder, with the key of seed.
func open(t testing.TB, dir string, seed byte) *cosign.Cosigner {
	t.Helper()
	c, err := cosign.Open(cosign.Config{
		Dir: dir, Key: identity.NewKey(key(seed)), Now: func() time.Time { return noon },
		Trust: func() (cosign.Trust, error) { return trusting(t, 0), nil },
	})
	require.NoError(t, err)
	return c
}

// keyOf returns the key by which the cosigner of seed signs.
func keyOf(t testing.TB, seed byte) string {
	t.Helper()
	vkey, err := cosign.KeyOf(identity.NewKey(key(seed)).DID())
	require.NoError(t, err)
	return vkey
}
