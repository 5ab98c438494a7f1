package evm_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/zk/evm"
)

// history is a ledger as the hub builds it: tlog is the arithmetic of Go's checksum database.
type history struct {
	hashes []tlog.Hash
	size   int64
}

// newHistory makes a ledger of some entries. Another name makes another history from entry fork on.
func newHistory(tb testing.TB, name string, size, fork int64) *history {
	tb.Helper()
	h := &history{}
	for h.size < size {
		text := fmt.Sprint("entry ", h.size)
		if h.size >= fork {
			text = name + text
		}
		added, err := tlog.StoredHashes(h.size, []byte(text), h)
		require.NoError(tb, err)
		h.hashes = append(h.hashes, added...)
		h.size++
	}
	return h
}

// ReadHashes implements tlog.HashReader.
func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = h.hashes[index]
	}
	return list, nil
}

func (h *history) root(tb testing.TB, size uint64) [32]byte {
	tb.Helper()
	root, err := tlog.TreeHash(int64(size), h)
	require.NoError(tb, err)
	return root
}

// growth proves what the checkpoint over size entries begins with.
func (h *history) growth(size uint64) evm.Growth {
	return func(_ context.Context, from uint64) ([][32]byte, error) {
		proof, err := tlog.ProveTree(int64(size), int64(from), h)
		return path(proof), err
	}
}

// inclusion proves entry index of the first size.
func (h *history) inclusion(tb testing.TB, size, index int64) (leaf [32]byte, proof [][32]byte) {
	tb.Helper()
	record, err := tlog.ProveRecord(size, index, h)
	require.NoError(tb, err)
	return h.hashes[tlog.StoredHashIndex(0, index)], path(record)
}

func path(proof []tlog.Hash) [][32]byte {
	hashes := make([][32]byte, len(proof))
	for i, hash := range proof {
		hashes[i] = hash
	}
	return hashes
}

// anchor anchors this ledger's checkpoint of a size.
func (h *history) anchor(tb testing.TB, c *evm.Client, size uint64) (evm.Receipt, error) {
	tb.Helper()
	return c.Anchor(tb.Context(), size, h.root(tb, size), h.growth(size))
}
