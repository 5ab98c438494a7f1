package dirlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/dirlock"
)

func TestSecondHolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := dirlock.Acquire(t.Context(), dir)
	require.NoError(t, err)

	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = dirlock.Acquire(soon, dir)
	require.ErrorContains(t, err, "another process holds the directory "+dir)

	require.NoError(t, first.Release())
	second, err := dirlock.Acquire(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, second.Release())
}

func TestWaitsForWhoeverIsEnding(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := dirlock.Acquire(t.Context(), dir)
	require.NoError(t, err)
	time.AfterFunc(100*time.Millisecond, func() { _ = first.Release() })
	second, err := dirlock.Acquire(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, second.Release())
}

func TestDirectoryHasToExist(t *testing.T) {
	t.Parallel()
	_, err := dirlock.Acquire(t.Context(), t.TempDir()+"/none")
	require.Error(t, err)
}
