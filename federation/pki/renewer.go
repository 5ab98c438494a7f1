package pki

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Waits of a [Renewer].
const (
	firstRetry = time.Minute
	// maxWait is the longest it sleeps before it looks at the clock again, so
	// that a suspended machine or a corrected clock delays it by at most this.
	maxWait = time.Hour
)

// RenewerConfig configures a [Renewer]. Certificate, Renew and Save are required.
type RenewerConfig struct {
	Certificate Certificate // the one in force

	// Renew asks the hub for the successor of a certificate, usually through
	// [Client.Renew].
	Renew func(context.Context, Certificate) (Certificate, error)

	// Save makes a certificate durable. It is called before the certificate is
	// used; if it fails the old one stays in use and renewal is tried again.
	Save func(Certificate) error

	// Jitter returns a number in [0,1). It spreads the nodes' renewals, so
	// that those enrolled together do not come together. Defaults to math/rand.
	Jitter func() float64

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// Renewer keeps a node's certificate fresh: it renews when about two thirds of
// the lifetime have passed, and while the hub is out of reach tries again, after
// a minute at first and an hour at last, until the certificate has expired.
type Renewer struct {
	cfg     RenewerConfig
	current atomic.Pointer[Certificate]
}

// NewRenewer returns a Renewer that is ready to run; it starts nothing.
func NewRenewer(cfg RenewerConfig) (*Renewer, error) {
	if cfg.Certificate.IsZero() || cfg.Renew == nil || cfg.Save == nil {
		return nil, errors.New("pki: a renewer needs a certificate, a way to renew it and a place to save it")
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Renewer{cfg: cfg}
	r.current.Store(&cfg.Certificate)
	return r, nil
}

// Certificate returns the certificate in force. It is safe to call while Run runs.
func (r *Renewer) Certificate() Certificate { return *r.current.Load() }

// Run renews until ctx ends, then returns nil. It returns [ErrExpired] or
// [ErrRevoked] when no renewal is possible any more: the node needs a new
// invitation and, if revoked, a new key.
func (r *Renewer) Run(ctx context.Context) error {
	for {
		due := r.due(r.Certificate())
		if err := r.sleepUntil(ctx, due); err != nil {
			return nil //nolint:nilerr // ctx has ended: a clean stop
		}
		if err := r.renewWithRetries(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// due is two thirds into the lifetime of cert, less up to a tenth of it.
func (r *Renewer) due(cert Certificate) time.Time {
	lifetime := cert.NotAfter().Sub(cert.NotBefore())
	early := time.Duration(r.cfg.Jitter() * float64(lifetime/10))
	return twoThirds(cert.NotBefore(), cert.NotAfter()).Add(-early)
}

func (r *Renewer) renewWithRetries(ctx context.Context) error {
	for wait := firstRetry; ; wait = min(2*wait, maxWait) {
		old := r.Certificate()
		if r.cfg.Now().After(old.NotAfter()) {
			return fmt.Errorf("renew %s: %w", old.Holder().Name, ErrExpired)
		}
		err := r.renewOnce(ctx, old)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrRevoked) || errors.Is(err, ErrExpired) {
			return err
		}
		r.cfg.Log.WarnContext(ctx, "certificate not renewed, trying again", "node", old.Holder().Name,
			"expires", old.NotAfter(), "wait", wait, "err", err)
		half := wait / 2
		if err := r.sleepUntil(ctx, r.cfg.Now().Add(half+time.Duration(r.cfg.Jitter()*float64(half)))); err != nil {
			return err
		}
	}
}

func (r *Renewer) renewOnce(ctx context.Context, old Certificate) error {
	fresh, err := r.cfg.Renew(ctx, old)
	if err != nil {
		return err
	}
	if !fresh.NotAfter().After(old.NotAfter()) {
		return errors.New("the renewed certificate ends no later than the old one")
	}
	if err := r.cfg.Save(fresh); err != nil {
		return fmt.Errorf("save renewed certificate: %w", err)
	}
	r.current.Store(&fresh)
	r.cfg.Log.InfoContext(ctx, "certificate renewed", "node", fresh.Holder().Name, "expires", fresh.NotAfter())
	return nil
}

// sleepUntil waits until the clock reaches t, or returns ctx's error.
func (r *Renewer) sleepUntil(ctx context.Context, t time.Time) error {
	for {
		left := t.Sub(r.cfg.Now())
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, maxWait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
