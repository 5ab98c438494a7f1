package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/bucket"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// InBucket reports whether a setting of the raw store is the address of a bucket.
func InBucket(setting string) bool { return strings.HasPrefix(setting, "s3:") }

// rawConfig says where the raw store is; see Config.Raw.
func (c Config) rawConfig(ctx context.Context) (raw.Config, error) {
	store := raw.Config{Dir: filepath.Join(c.Dir, rawDir), KeyFile: filepath.Join(c.Dir, rawKeyFile), Now: c.Now}
	switch {
	case c.Raw == "":
	case InBucket(c.Raw):
		b, err := bucket.Open(ctx, bucket.Config{Address: c.Raw})
		if err != nil {
			return raw.Config{}, err
		}
		store.Bucket = b
	default:
		if err := c.checkRaw(); err != nil {
			return raw.Config{}, err
		}
		store.Dir = c.Raw
	}
	return store, nil
}

// checkRaw refuses a folder of raw copies that would be meant twice, or not always.
func (c Config) checkRaw() error {
	if !filepath.IsAbs(c.Raw) {
		return errors.New("raw: want an absolute path or s3://bucket/prefix")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	if within, err := filepath.Rel(dir, c.Raw); err == nil && filepath.IsLocal(within) {
		return errors.New("raw: a folder in the node's directory would be backed up twice: name one elsewhere, or leave it out")
	}
	return nil
}

// openRaw opens the raw store of a node, which has the identity, if that is not empty.
func (c Config) openRaw(ctx context.Context, identity string) (*raw.Store, error) {
	store, err := c.rawConfig(ctx)
	if err != nil {
		return nil, err
	}
	store.Identity = identity
	// A folder that is gone, a disk that is not mounted, must not pass for a new one.
	if c.Raw != "" && store.Bucket == nil {
		if _, err := os.Stat(store.Dir); err != nil {
			return nil, fmt.Errorf("raw: make the folder first, and see that its disk is mounted: %w", err)
		}
	}
	files, err := raw.Open(store)
	return files, otherStore(err)
}

// knownRaw opens the raw store that db has its copies in.
func (c Config) knownRaw(ctx context.Context, db *sqldb.DB) (*raw.Store, error) {
	identity, err := raw.Known(ctx, db)
	if err != nil {
		return nil, err
	}
	return c.openRaw(ctx, identity)
}

// rememberedRaw is knownRaw that has a new database know its store. One that is restored
// does not know its own yet.
func (c Config) rememberedRaw(ctx context.Context, db *sqldb.DB) (*raw.Store, error) {
	if err := raw.Migrate(ctx, db); err != nil {
		return nil, err
	}
	if c.restoring {
		return c.openRaw(ctx, "")
	}
	files, err := c.knownRaw(ctx, db)
	if err != nil {
		return nil, err
	}
	return files, otherStore(raw.Remember(ctx, db, files))
}

// otherStore says what to do about [raw.ErrOther].
func otherStore(err error) error {
	if !errors.Is(err, raw.ErrOther) {
		return err
	}
	return fmt.Errorf("%w: see that raw (in node.yaml or TRIALMESH_NODE_RAW) is that of all processes of the node and that its disk is mounted, or, if the store was replaced for good, run trialmesh node adopt-raw", err)
}

// AdoptRaw has the node of cfg.Dir, none of whose processes may run, take the raw store of
// cfg.Raw for its own, though its database has its copies in another one. What is not in it
// is lost to the node: [Fsck] lists that.
func AdoptRaw(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	lock, err := dirlock.Acquire(ctx, cfg.Dir)
	if err != nil {
		return fmt.Errorf("adopt raw store: %w", err)
	}
	if err := cfg.adoptRaw(ctx); err != nil {
		return errors.Join(fmt.Errorf("adopt raw store: %w", err), lock.Release())
	}
	return lock.Release()
}

func (c Config) adoptRaw(ctx context.Context) error {
	files, err := c.openRaw(ctx, "")
	if err != nil {
		return err
	}
	db, err := c.database(ctx)
	if err != nil {
		return err
	}
	if err = raw.Migrate(ctx, db); err == nil {
		err = raw.Adopt(ctx, db, files)
	}
	return errors.Join(err, db.Close())
}

// restoredRaw opens the raw store of a node that is being restored. Copies that were
// unpacked into the folder are in a new store; those in a bucket are where they were, or in
// a copy of that.
func (c Config) restoredRaw(ctx context.Context, db *sqldb.DB) (*raw.Store, error) {
	if InBucket(c.Raw) {
		return c.rememberedRaw(ctx, db)
	}
	files, err := c.openRaw(ctx, "")
	if err != nil {
		return nil, err
	}
	return files, raw.Adopt(ctx, db, files)
}

// sweepEvery is how often the raw store is looked through for what does not count.
const sweepEvery = 24 * time.Hour

// sweepRaw removes what was left in the raw store, until ctx ends. What fails is tried
// again the next day.
func (n *Node) sweepRaw(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		removed, err := n.raw.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			n.cfg.Logger.WarnContext(ctx, "raw store was not swept", "err", err)
		}
		if removed > 0 {
			n.cfg.Logger.InfoContext(ctx, "files that were never acknowledged were removed", "files", removed)
		}
	}
}
