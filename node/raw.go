package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/bucket"
	"github.com/trialmesh/trialmesh/localstore/raw"
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

// openRaw opens the raw store of a node.
func (c Config) openRaw(ctx context.Context) (*raw.Store, error) {
	store, err := c.rawConfig(ctx)
	if err != nil {
		return nil, err
	}
	// A folder that is gone, a disk that is not mounted, must not pass for a new one.
	if c.Raw != "" && store.Bucket == nil {
		if _, err := os.Stat(store.Dir); err != nil {
			return nil, fmt.Errorf("raw: make the folder first, and see that its disk is mounted: %w", err)
		}
	}
	return raw.Open(store)
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
