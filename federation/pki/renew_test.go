package pki_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/pki/pkitest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// renewal is a renewal request for cert signed with key.
func renewal(t testing.TB, cert pki.Certificate, key identity.Key, now time.Time) message.Envelope {
	t.Helper()
	return sealed(t, pki.KindRenewal, key, string(cert.PEM()), now, 5*time.Minute)
}

func sealed(t testing.TB, kind message.Kind, key identity.Key, chain string, now time.Time, ttl time.Duration) message.Envelope {
	t.Helper()
	e, err := message.Seal(key, kind, pki.RenewalRequest{Certificate: chain}, now, ttl, rand.Reader)
	require.NoError(t, err)
	return e
}

func TestRenew(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cert, key := h.member(t, "st-olav")
	h.clock.advance(pki.DefaultLifetime / 3 * 2)

	issued, err := h.Renew(t.Context(), renewal(t, cert, key, h.clock.now()))
	require.NoError(t, err)
	renewed, err := pki.ParseCertificate([]byte(issued.Certificate + issued.Root))
	require.NoError(t, err)
	require.Equal(t, cert.Holder().Name, renewed.Holder().Name)
	require.Equal(t, cert.Holder().DID, renewed.Holder().DID)
	require.NotEqual(t, cert.Holder().Serial, renewed.Holder().Serial)
	require.Equal(t, h.clock.now().Add(pki.DefaultLifetime), renewed.NotAfter())

	recorded := h.store.Issued()
	require.Len(t, recorded, 2)
	require.Equal(t, renewed.Holder().Serial, recorded[1].Serial)
	require.Equal(t, cert.Holder().Serial, recorded[1].Replaces)

	h.clock.advance(pki.DefaultLifetime / 3 * 2)
	_, err = h.Renew(t.Context(), renewal(t, renewed, key, h.clock.now()))
	require.NoError(t, err, "a renewed certificate can be renewed")
}

func TestRenewalFollowsAChangedLifetime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cert, key := h.member(t, "st-olav")
	shorter := newHub(t, func(cfg *pki.Config) { cfg.Store, cfg.Lifetime = h.store, 7*24*time.Hour })
	issued, err := shorter.Renew(t.Context(), renewal(t, cert, key, shorter.clock.now()))
	require.NoError(t, err)
	renewed, err := pki.ParseCertificate([]byte(issued.Certificate + issued.Root))
	require.NoError(t, err)
	require.Equal(t, shorter.clock.now().Add(7*24*time.Hour), renewed.NotAfter())
}

func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	shared := newHub(t)
	for name, tc := range map[string]struct {
		request func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope
		want    error
	}{
		"a revoked certificate": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Serial: cert.Holder().Serial, Reason: "laptop stolen", At: h.clock.now()}))
			return renewal(t, cert, key, h.clock.now())
		}, pki.ErrRevoked},
		"a revoked key": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Subject: key.DID(), At: h.clock.now()}))
			return renewal(t, cert, key, h.clock.now())
		}, pki.ErrRevoked},
		"an expired certificate": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			h.clock.advance(pki.DefaultLifetime + time.Second)
			return renewal(t, cert, key, h.clock.now())
		}, pki.ErrExpired},
		"another node's certificate": {func(t *testing.T, h *hub, cert pki.Certificate, _ identity.Key) message.Envelope {
			_, other := h.member(t, "charite")
			return renewal(t, cert, other, h.clock.now())
		}, pki.ErrCertificate},
		"another authority's certificate": {func(t *testing.T, h *hub, _ pki.Certificate, _ identity.Key) message.Envelope {
			cert, key := otherHubsMember(t)
			return renewal(t, cert, key, h.clock.now())
		}, pki.ErrCertificate},
		"the authority's own certificate": {func(t *testing.T, h *hub, _ pki.Certificate, key identity.Key) message.Envelope {
			return sealed(t, pki.KindRenewal, key, string(h.RootPEM()), h.clock.now(), time.Minute)
		}, pki.ErrCertificate},
		"no certificate": {func(t *testing.T, h *hub, _ pki.Certificate, key identity.Key) message.Envelope {
			return sealed(t, pki.KindRenewal, key, "", h.clock.now(), time.Minute)
		}, pki.ErrCertificate},
		"a request for another purpose": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			return sealed(t, "query/request", key, string(cert.PEM()), h.clock.now(), time.Minute)
		}, message.ErrKind},
		"a request with a broken signature": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			e := renewal(t, cert, key, h.clock.now())
			e.Signature[0] ^= 1
			return e
		}, message.ErrSignature},
		"a request from yesterday": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			return renewal(t, cert, key, h.clock.now().Add(-24*time.Hour))
		}, message.ErrExpired},
		"a request that stays valid for years": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			return sealed(t, pki.KindRenewal, key, string(cert.PEM()), h.clock.now(), 365*24*time.Hour)
		}, message.ErrLifetime},
		"a request that was answered before": {func(t *testing.T, h *hub, cert pki.Certificate, key identity.Key) message.Envelope {
			e := renewal(t, cert, key, h.clock.now())
			_, err := h.Renew(t.Context(), e)
			require.NoError(t, err)
			return e
		}, pki.ErrReplayed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := shared
			if tc.want == pki.ErrExpired { // this moves the clock for all
				h = newHub(t)
			}
			cert, key := h.member(t, "st-olav")
			e := tc.request(t, h, cert, key)
			before := successors(h, cert)
			_, err := h.Renew(t.Context(), e)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, before, successors(h, cert))
		})
	}
}

// successors counts the renewals of cert.
func successors(h *hub, cert pki.Certificate) (n int) {
	for _, c := range h.store.Issued() {
		if c.Replaces == cert.Holder().Serial {
			n++
		}
	}
	return n
}

func TestRenewWithoutItsStore(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cert, key := h.member(t, "st-olav")
	for _, op := range []string{"use", "record", "revoked"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			broken := newHub(t, func(cfg *pki.Config) { cfg.Store = faultyStore{Store: new(pkitest.Store), op: op} })
			issued, err := broken.Renew(t.Context(), renewal(t, cert, key, broken.clock.now()))
			require.ErrorContains(t, err, errStore.Error())
			require.Zero(t, issued)
		})
	}
}

func TestRevokeRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for name, r := range map[string]pki.Revocation{
		"nothing":      {},
		"both":         {Serial: "1", Subject: newKey(t).DID()},
		"not a DID":    {Subject: "did:web:hub.test"},
		"a long story": {Serial: "1", Reason: string(make([]byte, 201))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, h.Revoke(t.Context(), r))
		})
	}
}

// otherHubsMember has a good certificate of another authority.
func otherHubsMember(t testing.TB) (pki.Certificate, identity.Key) {
	t.Helper()
	other := &hub{store: new(pkitest.Store), clock: newClock()}
	var err error
	other.Authority, err = pki.Open(otherDir(), pki.Config{Store: other.store, Hosts: []string{"127.0.0.1"}, Now: other.clock.now})
	require.NoError(t, err)
	return other.member(t, "st-olav")
}
