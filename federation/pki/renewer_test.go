package pki_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

var errUnreachable = errors.New("hub unreachable")

// site is a node and its hub on the fake time of a synctest bubble.
type site struct {
	*hub
	cert   pki.Certificate
	key    identity.Key
	down   func() bool // whether the hub is out of reach
	asked  []time.Time
	saved  []pki.Certificate
	saving func() error
}

func newSite(t *testing.T) *site {
	time.Sleep(time.Until(started)) // a bubble starts in the year 2000
	h := newHub(t, func(cfg *pki.Config) { cfg.Now = time.Now })
	s := &site{hub: h, down: func() bool { return false }, saving: func() error { return nil }}
	s.cert, s.key = h.member(t, "st-olav")
	return s
}

func (s *site) renewer(t *testing.T) *pki.Renewer {
	r, err := pki.NewRenewer(pki.RenewerConfig{
		Certificate: s.cert,
		Renew: func(ctx context.Context, cert pki.Certificate) (pki.Certificate, error) {
			s.asked = append(s.asked, time.Now())
			if s.down() {
				return pki.Certificate{}, errUnreachable
			}
			issued, err := s.Renew(ctx, renewal(t, cert, s.key, time.Now()))
			if err != nil {
				return pki.Certificate{}, err
			}
			return pki.ParseCertificate([]byte(issued.Certificate + issued.Root))
		},
		Save: func(cert pki.Certificate) error {
			if err := s.saving(); err != nil {
				return err
			}
			s.saved = append(s.saved, cert)
			return nil
		},
	})
	require.NoError(t, err)
	return r
}

// run runs r in the background and returns what ends it and waits for its error.
func run(t *testing.T, r *pki.Renewer) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestRenewerRenewsBeforeExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		r := s.renewer(t)
		stop := run(t, r)
		time.Sleep(365 * 24 * time.Hour)
		require.NoError(t, stop())

		require.GreaterOrEqual(t, len(s.saved), 365/20-1)
		for previous, i := s.cert, 0; i < len(s.saved); previous, i = s.saved[i], i+1 {
			age := s.asked[i].Sub(previous.NotBefore()).Hours() / previous.NotAfter().Sub(previous.NotBefore()).Hours()
			require.Less(t, age, 0.67, "renewal %d", i)
			require.Greater(t, age, 0.56, "renewal %d", i)
		}
		require.Equal(t, s.saved[len(s.saved)-1].Holder(), r.Certificate().Holder())
		require.True(t, time.Now().Before(r.Certificate().NotAfter()))
	})
}

func TestRenewerSurvivesAnUnreachableHub(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		end := s.cert.NotAfter().Add(-3 * time.Hour)
		s.down = func() bool { return time.Now().Before(end) }
		r := s.renewer(t)
		stop := run(t, r)
		time.Sleep(time.Until(s.cert.NotAfter()))
		require.NoError(t, stop())
		require.Len(t, s.saved, 1, "renewed in the last three hours")
		require.Greater(t, len(s.asked), 200, "it keeps trying")
		require.Less(t, len(s.asked), 700, "but does not hammer")
	})
}

func TestRenewerKeepsTheOldCertificateUntilTheNewOneIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		freed := time.Now().Add(22 * 24 * time.Hour)
		s.saving = func() error {
			if time.Now().Before(freed) {
				return errors.New("disk full")
			}
			return nil
		}
		r := s.renewer(t)
		stop := run(t, r)
		time.Sleep(21 * 24 * time.Hour)
		synctest.Wait()
		require.Equal(t, s.cert.Holder().Serial, r.Certificate().Holder().Serial)
		time.Sleep(2 * 24 * time.Hour)
		require.NoError(t, stop())
		require.Len(t, s.saved, 1)
		require.Equal(t, s.saved[0].Holder().Serial, r.Certificate().Holder().Serial)
	})
}

func TestRenewerEndsWhenNoRenewalIsPossible(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, s *site)
		want    error
	}{
		"expired while the hub was away": {func(_ *testing.T, s *site) { s.down = func() bool { return true } }, pki.ErrExpired},
		"revoked": {func(t *testing.T, s *site) {
			require.NoError(t, s.Revoke(t.Context(), pki.Revocation{Subject: s.key.DID(), At: time.Now()}))
		}, pki.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				tc.prepare(t, s)
				require.ErrorIs(t, s.renewer(t).Run(t.Context()), tc.want)
				require.Empty(t, s.saved)
				require.Less(t, time.Since(s.cert.NotAfter()), 2*time.Hour, "it says so soon")
			})
		})
	}
}

func TestRenewerStartsWithAnOldCertificate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(29 * 24 * time.Hour) // the node was switched off
		stop := run(t, s.renewer(t))
		synctest.Wait()
		require.Len(t, s.saved, 1, "at once")
		require.NoError(t, stop())
	})
}

func TestNewRenewerRefuses(t *testing.T) {
	t.Parallel()
	_, err := pki.NewRenewer(pki.RenewerConfig{})
	require.Error(t, err)
}
