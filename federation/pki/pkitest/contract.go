package pkitest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// TestStore runs the contract of pki.Store on stores made by open, each empty.
func TestStore(t *testing.T, open func(*testing.T) pki.Store) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const did = identity.DID("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")

	t.Run("a token is spent once, also by many at a time", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		var fresh atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				ok, err := store.UseToken(t.Context(), "token-1", at.Add(time.Hour))
				if err == nil && ok {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, fresh.Load())
		again, err := store.UseToken(t.Context(), "token-1", at.Add(time.Hour))
		require.NoError(t, err)
		require.False(t, again)
		other, err := store.UseToken(t.Context(), "token-2", at.Add(time.Hour))
		require.NoError(t, err)
		require.True(t, other)
	})
	t.Run("a serial number is recorded once", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		cert := pki.Issued{Serial: "17", Subject: did, Name: "st-olav", NotBefore: at, NotAfter: at.Add(time.Hour), DER: []byte{1}}
		require.NoError(t, store.RecordCertificate(t.Context(), cert))
		require.Error(t, store.RecordCertificate(t.Context(), cert))
		cert.Serial, cert.Replaces = "18", "17"
		require.NoError(t, store.RecordCertificate(t.Context(), cert))
	})
	t.Run("a revoked serial number revokes only itself", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		require.NoError(t, store.Revoke(t.Context(), pki.Revocation{Serial: "17", Reason: "lost", At: at}))
		requireRevoked(t, store, "17", did, true)
		requireRevoked(t, store, "17", "", true)
		requireRevoked(t, store, "18", did, false)
		requireRevoked(t, store, "", did, false)
	})
	t.Run("a revoked subject revokes all its certificates", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		require.NoError(t, store.Revoke(t.Context(), pki.Revocation{Subject: did, At: at}))
		requireRevoked(t, store, "17", did, true)
		requireRevoked(t, store, "", did, true)
		requireRevoked(t, store, "17", "", false)
	})
	t.Run("revoking again changes nothing", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		for range 2 {
			require.NoError(t, store.Revoke(t.Context(), pki.Revocation{Serial: "17", At: at}))
		}
		requireRevoked(t, store, "17", "", true)
	})
	t.Run("empty identifiers match nothing", func(t *testing.T) {
		t.Parallel()
		store := open(t)
		require.NoError(t, store.Revoke(t.Context(), pki.Revocation{Serial: "17", At: at}))
		require.NoError(t, store.Revoke(t.Context(), pki.Revocation{Subject: did, At: at}))
		requireRevoked(t, store, "", "", false)
	})
}

func requireRevoked(t *testing.T, store pki.Store, serial pki.Serial, subject identity.DID, want bool) {
	t.Helper()
	got, err := store.IsRevoked(t.Context(), serial, subject)
	require.NoError(t, err)
	require.Equal(t, want, got, "serial %q subject %q", serial, subject)
}
