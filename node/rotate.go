package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/raw"
)

// RotateRawKey gives the raw store of the node of cfg.Dir a new key, which it uses
// from its next start on. The node must not run: it could not read what others write.
func RotateRawKey(ctx context.Context, cfg Config) error {
	lock, err := dirlock.Acquire(ctx, cfg.Dir)
	if err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	return errors.Join(raw.RotateKey(filepath.Join(cfg.Dir, rawKeyFile)), lock.Release())
}

// rawIdentity is that of the store which the node's database knows.
func (c Config) rawIdentity(ctx context.Context) (string, error) {
	db, err := c.database(ctx)
	if err != nil {
		return "", err
	}
	identity, err := raw.Known(ctx, db)
	return identity, errors.Join(err, db.Close())
}

// ReencryptRaw encrypts every raw copy of the node of cfg.Dir, which must not run,
// with the newest key; see [raw.Reencrypt]. The tokens of wearables' makers come first.
func ReencryptRaw(ctx context.Context, cfg Config, progress func(raw.Reencrypted)) (raw.Reencrypted, error) {
	cfg = cfg.withDefaults()
	lock, err := dirlock.Acquire(ctx, cfg.Dir)
	if err != nil {
		return raw.Reencrypted{}, fmt.Errorf("reencrypt: %w", err)
	}
	if err := resealWearables(ctx, cfg); err != nil {
		return raw.Reencrypted{}, errors.Join(fmt.Errorf("reencrypt: %w", err), lock.Release())
	}
	store, err := cfg.rawConfig(ctx)
	if err == nil {
		store.Identity, err = cfg.rawIdentity(ctx)
	}
	if err != nil {
		return raw.Reencrypted{}, errors.Join(fmt.Errorf("reencrypt: %w", err), lock.Release())
	}
	n, err := raw.Reencrypt(ctx, store, progress)
	return n, errors.Join(otherStore(err), lock.Release())
}
