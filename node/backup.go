package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// stores opens the database and the raw store of a node that is there, for a program
// beside the one that runs it. It migrates nothing.
func (c Config) stores(ctx context.Context) (*sqldb.DB, *raw.Store, error) {
	db, err := c.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	files, err := c.knownRaw(ctx, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, files, nil
}

// database opens the database of a node that is there.
func (c Config) database(ctx context.Context) (*sqldb.DB, error) {
	if path, ok := strings.CutPrefix(c.DSN, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil { // it would be made
			return nil, fmt.Errorf("the node has no database yet: %w", err)
		}
	}
	return sqldb.Open(ctx, sqldb.Config{DSN: c.DSN})
}

// bucket is the address of the bucket that has the raw copies, "" if they are on a disk.
func (c Config) bucket() string {
	if InBucket(c.Raw) {
		return c.Raw
	}
	return ""
}

// Backup writes the node of cfg.Dir into the file to, also while it runs; see
// [backup.Write]. program is the version of this program.
func Backup(ctx context.Context, cfg Config, to string, recipients []backup.Recipient, program string, progress func(fsck.Progress)) (backup.Manifest, error) {
	cfg = cfg.withDefaults()
	db, files, err := cfg.stores(ctx)
	if err != nil {
		return backup.Manifest{}, fmt.Errorf("backup: %w", err)
	}
	m, err := backup.Write(ctx, backup.Config{
		Dir: cfg.Dir, DB: db, Raw: files, Bucket: cfg.bucket(), To: to, Recipients: recipients, Now: cfg.Now(), Program: program, Progress: progress,
	})
	return m, errors.Join(err, db.Close())
}

// Fsck checks the node of cfg.Dir, also while it runs; see [fsck.Check].
func Fsck(ctx context.Context, cfg Config, progress func(fsck.Progress)) (fsck.Report, error) {
	cfg = cfg.withDefaults()
	db, files, err := cfg.stores(ctx)
	if err != nil {
		return fsck.Report{}, fmt.Errorf("fsck: %w", err)
	}
	report, err := fsck.Check(ctx, fsck.Config{DB: db, Raw: files, Consents: cfg.checkConsents, Progress: progress, Now: cfg.Now})
	if errors.Is(err, sqldb.ErrSchema) {
		err = fmt.Errorf("this version has not opened the node's database yet: run the node once, which brings its tables up to date, then check: %w", err)
	}
	return report, errors.Join(err, db.Close())
}

// Restore makes a node in cfg.Dir, which is absent or empty, of a backup; see
// [backup.Restore]. cfg.DSN is the database for a backup of PostgreSQL, else empty.
// cfg.Raw is where its raw copies are now if they are in a bucket, and not in the one of
// the backup. finish is called with the folder, and with the bucket, before the
// node is put in place.
//
// The node is held: it takes loads and consents but answers and publishes nothing
// until [Resume]. It has forgotten what it did after the backup, withdrawals and
// released numbers among it. Questions that were under way at the backup are dropped,
// so that no masked sum is done twice.
func Restore(ctx context.Context, cfg Config, from string, keys []backup.Identity, finish func(dir, bucket string) error, progress func(fsck.Progress)) (backup.Manifest, fsck.Report, error) {
	dsn := cfg.DSN
	cfg = cfg.withDefaults()
	if cfg.Raw != "" && !InBucket(cfg.Raw) {
		return backup.Manifest{}, fsck.Report{}, errors.New("restore: raw copies are restored into the node's directory, or are in a bucket: leave the folder out")
	}
	return backup.Restore(ctx, backup.RestoreConfig{
		From: from, Identities: keys, Dir: cfg.Dir, DSN: dsn, Bucket: cfg.Raw, Last: keyFile, Now: cfg.Now, Progress: progress,
		Raw: func(ctx context.Context, dir, bucket string, db *sqldb.DB) (*raw.Store, error) {
			return Config{Dir: dir, Raw: bucket, Now: cfg.Now}.restoredRaw(ctx, db)
		},
		Schema: func(ctx context.Context, dir, dsn string) error {
			// Whoever opens a node has all its tables.
			n, err := Open(ctx, Config{Dir: dir, DSN: dsn, Circuits: dir, Now: cfg.Now, restoring: true})
			if err != nil {
				return err
			}
			return n.Close()
		},
		Settle: func(ctx context.Context, dir string, db *sqldb.DB, m backup.Manifest) error {
			return errors.Join(hold(ctx, dir, db, m.At), finish(dir, cmp.Or(cfg.Raw, m.Bucket)))
		},
	})
}
