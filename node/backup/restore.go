package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// RestoreConfig says what to restore to where. All fields but DSN, Bucket and Progress
// are required.
type RestoreConfig struct {
	From       string
	Identities []Identity

	// Dir is the new directory: absent or empty.
	Dir string

	// DSN is the database for a backup of PostgreSQL, which has no tables yet. A backup
	// of SQLite is restored into Dir; it must be empty then.
	DSN string

	// Bucket is the address of the bucket where the raw copies are now, of a backup that
	// left them in one. Defaults to the one that they were in.
	Bucket string

	// Raw opens the raw store of a node in the folder dir: in a bucket, or in the folder
	// if bucket is empty. db, which is restored, knows it then.
	Raw func(ctx context.Context, dir, bucket string, db *sqldb.DB) (*raw.Store, error)

	// Last is the name of the file without which no node runs on Dir. It is put there last.
	Last string

	// Schema brings the tables of a node in the folder dir up to date, in the database
	// dsn: on PostgreSQL it makes them.
	Schema func(ctx context.Context, dir, dsn string) error

	// Settle makes a node in the folder dir fit to be run after what it has forgotten.
	Settle func(ctx context.Context, dir string, db *sqldb.DB, m Manifest) error

	Now      func() time.Time    // For durations.
	Progress func(fsck.Progress) // Defaults to none.
}

func (c RestoreConfig) validate() error {
	if c.From == "" || c.Dir == "" || c.Last == "" || c.Raw == nil || c.Schema == nil || c.Settle == nil || c.Now == nil {
		return errors.New("archive, directory, name of the last file, raw, schema, settle and now are required")
	}
	entries, err := os.ReadDir(c.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stageFolder }):
		return fmt.Errorf("%s holds a restore that did not end: remove the directory, and empty the database if it is PostgreSQL, then begin again", c.Dir)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: a node is restored into a new directory", c.Dir)
	}
	return nil
}

// stageFolder is where a node is put together in its new directory.
const stageFolder = "restoring"

// Restore makes a node of a backup: it unpacks all parts, compares them with the
// manifest, checks the node with [fsck.Check] and only then puts it in place. A
// process that is killed leaves a directory on which no node runs. The report is that
// of the check: what was wrong with the node when it was backed up is restored as well.
//
// It returns [ErrKey], [ErrDamaged] or [ErrVersion] for an archive that it cannot use.
// After an error nothing is left in Dir; a PostgreSQL database may have tables then.
func Restore(ctx context.Context, cfg RestoreConfig) (Manifest, fsck.Report, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(fsck.Progress) {}
	}
	if err := cfg.validate(); err != nil {
		return Manifest{}, fsck.Report{}, fmt.Errorf("restore: %w", err)
	}
	r := &restore{cfg: cfg, stage: filepath.Join(cfg.Dir, stageFolder)}
	if err := r.run(ctx); err != nil {
		return Manifest{}, fsck.Report{}, fmt.Errorf("restore: %w", errors.Join(err, os.RemoveAll(r.stage)))
	}
	return r.manifest, r.report, nil
}

// restore is one restore under way.
type restore struct {
	*reader

	cfg      RestoreConfig
	stage    string
	head     Head
	parts    []Part // as they were read
	raw      Part
	rawFiles int64
	manifest Manifest
	report   fsck.Report
}

func (r *restore) run(ctx context.Context) error {
	f, err := os.Open(r.cfg.From)
	if err != nil {
		return err
	}
	defer f.Close()
	if len(r.cfg.Identities) == 0 {
		return ErrKey
	}
	plain, err := age.Decrypt(f, r.cfg.Identities...)
	if none := new(age.NoIdentityMatchError); errors.As(err, &none) {
		return ErrKey
	}
	if err != nil {
		return damaged(err)
	}
	if r.reader, err = newReader(plain); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	if err := r.unpack(ctx); err != nil {
		return err
	}
	// The end of the encryption says that nothing was cut off.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return damaged(err)
	}
	if err := r.compare(); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	return r.place()
}

// begin reads the head, sees that the archive can be restored here, and makes the
// folder.
func (r *restore) begin(ctx context.Context) error {
	if err := r.json(headName, &r.head); err != nil {
		return err
	}
	switch {
	case r.head.Format != format:
		return ErrVersion
	case r.head.Bucket == "" && r.cfg.Bucket != "":
		return errors.New("the backup has its raw copies in it, which are restored into the directory: leave the bucket out")
	case r.head.Engine == sqldb.SQLite && r.cfg.DSN != "":
		return errors.New("the backup is of a SQLite database, which is restored into the directory: leave the database out")
	case r.head.Engine == sqldb.Postgres && !strings.HasPrefix(r.cfg.DSN, "postgres"):
		return errors.New("the backup is of a PostgreSQL database: name an empty one")
	}
	if r.head.Engine == sqldb.Postgres {
		if err := r.empty(ctx); err != nil {
			return err
		}
	}
	return os.MkdirAll(r.stage, 0o700)
}

// empty refuses a database that has tables.
func (r *restore) empty(ctx context.Context) error {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: r.cfg.DSN})
	if err != nil {
		return err
	}
	var tables []sqldb.Table
	err = db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		tables, err = tx.Tables(ctx)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if len(tables) > 0 {
		return errors.New("the database has tables: name one that is empty")
	}
	return nil
}

// compare compares what was read with the manifest.
func (r *restore) compare() error {
	m := r.manifest
	if m.Bucket == "" && m.RawFiles != r.rawFiles || m.Bucket != r.head.Bucket {
		return fmt.Errorf("%w: its raw copies are not those of its manifest", ErrDamaged)
	}
	if r.next != nil || !slices.Equal(m.Parts, r.parts) || m.Raw != r.raw || m.Format != r.head.Format || !m.At.Equal(r.head.At) {
		return fmt.Errorf("%w: its parts are not those of its manifest", ErrDamaged)
	}
	return nil
}

// check settles and checks the node in the stage folder.
func (r *restore) check(ctx context.Context) error {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: r.dsn()})
	if err != nil {
		return err
	}
	store, err := r.cfg.Raw(ctx, r.stage, cmp.Or(r.cfg.Bucket, r.head.Bucket), db)
	if err == nil {
		err = r.cfg.Settle(ctx, r.stage, db, r.manifest)
	}
	if err == nil {
		r.report, err = fsck.Check(ctx, fsck.Config{DB: db, Raw: store, Progress: r.cfg.Progress, Now: r.cfg.Now})
	}
	return errors.Join(err, db.Close())
}

// place moves the node out of the stage folder, durably. Without its last file nothing
// runs on the directory.
func (r *restore) place() error {
	syscall.Sync() // one call for what may be a million files
	entries, err := os.ReadDir(r.stage)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == r.cfg.Last {
			continue
		}
		if err := os.Rename(filepath.Join(r.stage, e.Name()), filepath.Join(r.cfg.Dir, e.Name())); err != nil {
			return err
		}
	}
	if err := syncDir(r.cfg.Dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(r.stage, r.cfg.Last), filepath.Join(r.cfg.Dir, r.cfg.Last)); err != nil {
		return err
	}
	return errors.Join(os.Remove(r.stage), syncDir(r.cfg.Dir))
}
