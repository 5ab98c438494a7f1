package backup

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// Config says what to back up. All fields but Program and Progress are required.
type Config struct {
	Dir string // the node's directory
	DB  *sqldb.DB
	Raw *raw.Store

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

// leftOut are the names in a node's directory that are no part of a backup: what is
// in it in another form, and what belongs to a running process.
var leftOut = []string{dataFile, dataFile + "-wal", dataFile + "-shm", dataFile + ".jobs", "raw", "lock", "run.json", workFolder}

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

func (b *backup) parts(ctx context.Context) error {
	b.manifest.Head = Head{Format: format, Program: b.cfg.Program, At: b.cfg.Now.UTC(), Engine: b.cfg.DB.Dialect()}
	var err error
	if b.cfg.DB.Dialect() == sqldb.Postgres {
		err = b.cfg.DB.Snapshot(ctx, func(tx *sqldb.Tx, tables []sqldb.Table) error { return b.postgres(ctx, tx, tables) })
	} else {
		err = b.sqlite(ctx)
	}
	if err != nil {
		return err
	}
	if err := b.raw(ctx); err != nil {
		return err
	}
	// A raw copy may have been encrypted by a key that is younger than the files.
	return b.unchanged()
}

// sqlite writes a copy of the database, which it makes first.
func (b *backup) sqlite(ctx context.Context) (err error) {
	b.cfg.Progress(fsck.Progress{Doing: "copy of the database"})
	path := filepath.Join(b.work, dataFile)
	if err := removeDatabase(path); err != nil { // of a process that was killed
		return err
	}
	defer func() { err = errors.Join(err, removeDatabase(path)) }()
	if err := b.cfg.DB.Backup(ctx, path); err != nil {
		return err
	}
	if err := b.begin(); err != nil {
		return err
	}
	p, err := b.path(dataFolder+dataFile, path)
	if err != nil {
		return err
	}
	b.manifest.Parts = append(b.manifest.Parts, p)
	copied, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + path})
	if err != nil {
		return err
	}
	err = copied.Read(ctx, func(tx *sqldb.Tx) (err error) {
		b.names, err = fsck.Named(ctx, tx)
		return err
	})
	return errors.Join(err, copied.Close())
}

// removeDatabase removes a SQLite database and what belongs to it, if it is there.
func removeDatabase(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", ".part"} {
		if err := os.Remove(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// begin writes the head and the files of the node's directory.
func (b *backup) begin() error {
	if err := b.json(headName, b.manifest.Head); err != nil {
		return err
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	for _, name := range files {
		p, err := b.path(filesFolder+name, filepath.Join(b.cfg.Dir, name))
		if err != nil {
			return err
		}
		b.manifest.Parts = append(b.manifest.Parts, p)
	}
	return nil
}

// path writes a part from a file.
func (b *backup) path(name, from string) (Part, error) {
	f, err := os.Open(from)
	if err != nil {
		return Part{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Part{}, err
	}
	p, err := b.file(name, info.Size(), f)
	if err != nil {
		return Part{}, fmt.Errorf("%s: %w", from, err)
	}
	return p, nil
}

// files returns the names of the node's own files, with slashes.
func (b *backup) files() ([]string, error) {
	var names []string
	err := filepath.WalkDir(b.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == b.cfg.Dir {
			return err
		}
		name, err := filepath.Rel(b.cfg.Dir, path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		switch {
		case slices.Contains(leftOut, name), strings.HasPrefix(d.Name(), ".new-"): // a file that is being replaced
			if d.IsDir() {
				return fs.SkipDir
			}
		case err != nil:
			return err
		case info.Mode().IsRegular():
			names = append(names, filepath.ToSlash(name))
		case !d.IsDir():
			return fmt.Errorf("%s is neither a file nor a folder: take it out of the node's directory", path)
		}
		return nil
	})
	return names, err
}

// unchanged fails if a file that holds a key is another one than was written.
func (b *backup) unchanged() error {
	for _, p := range b.manifest.Parts {
		name, ok := strings.CutPrefix(p.Name, filesFolder)
		if !ok || filepath.Ext(name) != ".key" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(b.cfg.Dir, name))
		if err != nil {
			return err
		}
		if fmt.Sprintf("%x", sha256.Sum256(data)) != p.SHA256 {
			return fmt.Errorf("%s was changed meanwhile: begin again", name)
		}
	}
	return nil
}

// postgres writes all tables.
func (b *backup) postgres(ctx context.Context, tx *sqldb.Tx, tables []sqldb.Table) error {
	tables = slices.DeleteFunc(tables, func(t sqldb.Table) bool { return strings.HasSuffix(t.Name, "_next") }) // what a vocabulary load fills
	sequences, err := tx.Sequences(ctx)
	if err != nil {
		return err
	}
	b.manifest.Tables, b.manifest.Sequences = tables, sequences
	if err := b.begin(); err != nil {
		return err
	}
	for i, t := range tables {
		b.cfg.Progress(fsck.Progress{Doing: "tables", Done: int64(i), Total: int64(len(tables)), Bytes: b.manifest.Bytes()})
		out := b.pieces(dataFolder + t.Name)
		rows, err := tx.CopyOut(ctx, t, out)
		if err != nil {
			return err
		}
		p, err := out.end(rows)
		if err != nil {
			return err
		}
		b.manifest.Parts = append(b.manifest.Parts, p)
	}
	b.names, err = fsck.Named(ctx, tx)
	return err
}

// raw writes the raw copies of the state, in the order of their names.
func (b *backup) raw(ctx context.Context) error {
	h := sha256.New()
	var size int64
	for i, d := range b.names {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, n, err := b.cfg.Raw.Encrypted(d)
		if errors.Is(err, raw.ErrNotFound) {
			b.manifest.Missing++
			continue
		}
		if err != nil {
			return err
		}
		_, _ = io.WriteString(h, d.String()) // a hash never fails
		err = b.entry(rawFolder+d.String(), n, io.TeeReader(f, h))
		if err := cmp.Or(err, f.Close()); err != nil {
			return fmt.Errorf("raw copy %s: %w", d, err)
		}
		size += n
		b.manifest.RawFiles++
		b.cfg.Progress(fsck.Progress{Doing: "raw copies", Done: int64(i + 1), Total: int64(len(b.names)), Bytes: size})
	}
	b.manifest.Raw = part(rawFolder, size, h)
	return nil
}
