package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// Config says what to back up. All fields but Bucket, Program and Progress are required.
type Config struct {
	Dir string // the node's directory
	DB  *sqldb.DB
	Raw *raw.Store

	// Bucket is the address of the bucket that Raw is in, which then keeps the raw copies:
	// the archive has none, but it is seen to that all are there. Defaults to none.
	Bucket string

	// To is the archive. It must not exist; it is there when it is whole.
	To         string
	Recipients []Recipient

	Now      time.Time
	Program  string              // version of this program
	Progress func(fsck.Progress) // Defaults to none.
}

func (c Config) validate() error {
	switch {
	case c.Dir == "", c.DB == nil, c.Raw == nil, c.To == "":
		return errors.New("directory, database, raw store and the file to write are required")
	case len(c.Recipients) == 0:
		return errors.New("a backup needs a recipient: it holds keys and patients")
	}
	return nil
}

// workFolder is where a backup works in a node's directory.
const workFolder = "backup"

// Write backs a node up while it runs. It needs room in Dir for a copy of a SQLite
// database, and 32 bytes of memory for each raw copy. One backup of a node runs at a
// time. When Write returns without an error the archive is durable; on an error, and
// when the process is killed, nothing has its name.
func Write(ctx context.Context, cfg Config) (Manifest, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(fsck.Progress) {}
	}
	m, err := write(ctx, cfg)
	if err != nil {
		return Manifest{}, fmt.Errorf("backup: %w", err)
	}
	return m, nil
}

func write(ctx context.Context, cfg Config) (m Manifest, err error) {
	if err := cfg.validate(); err != nil {
		return m, err
	}
	if _, err := os.Lstat(cfg.To); err == nil {
		return m, fmt.Errorf("%s is there already: a backup replaces nothing", cfg.To)
	}
	if err := outside(cfg.To, cfg.Dir); err != nil {
		return m, err
	}
	work := filepath.Join(cfg.Dir, workFolder)
	if err := os.MkdirAll(work, 0o700); err != nil {
		return m, err
	}
	lock, err := dirlock.Acquire(ctx, work)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	unfinished := cfg.To + ".unfinished"
	f, err := os.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return m, err
	}
	w := &backup{cfg: cfg, work: work}
	err = w.archive(ctx, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return m, errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, cfg.To); err != nil {
		return m, err
	}
	return w.manifest, syncDir(filepath.Dir(cfg.To))
}

// outside refuses a file in the node's directory: the next backup would hold it.
func outside(file, dir string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if within, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(within) {
		return fmt.Errorf("%s lies in the node's directory: write the backup elsewhere, best to another disk", file)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// backup is one backup under way.
type backup struct {
	*writer

	cfg      Config
	work     string
	names    []raw.Digest // of the raw copies of the state
	manifest Manifest
}

// archive writes the archive into f, durably.
func (b *backup) archive(ctx context.Context, f *os.File) error {
	buffer := bufio.NewWriterSize(f, 1<<20)
	sealed, err := age.Encrypt(buffer, b.cfg.Recipients...)
	if err != nil {
		return err
	}
	b.writer = &writer{tar: tar.NewWriter(sealed), at: b.cfg.Now}
	if err := b.parts(ctx); err != nil {
		return err
	}
	if err := b.json(manifestName, b.manifest); err != nil {
		return err
	}
	if err := errors.Join(b.tar.Close(), sealed.Close(), buffer.Flush()); err != nil {
		return err
	}
	return f.Sync()
}
