package backup

import (
	"bytes"
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

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// parts writes all parts of the archive, from the head to the raw copies.
func (b *backup) parts(ctx context.Context) error {
	b.manifest.Head = Head{Format: format, Program: b.cfg.Program, At: b.cfg.Now.UTC(), Engine: b.cfg.DB.Dialect(), Bucket: b.cfg.Bucket}
	var err error
	if b.cfg.DB.Dialect() == sqldb.Postgres {
		err = b.cfg.DB.Snapshot(ctx, func(tx *sqldb.Tx, tables []sqldb.Table) error { return b.postgres(ctx, tx, tables) })
	} else {
		err = b.sqlite(ctx)
	}
	if err != nil {
		return err
	}
	if b.cfg.Bucket != "" {
		err = b.inBucket(ctx)
	} else {
		err = b.raw(ctx)
	}
	if err != nil {
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

// leftOut are the names in a node's directory that are no part of a backup: what is
// in it in another form, and what belongs to a running process.
var leftOut = []string{dataFile, dataFile + "-wal", dataFile + "-shm", dataFile + ".jobs", "raw", "lock", "run.json", workFolder}

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

// inBucket sees that the raw copies of the state are in the bucket.
func (b *backup) inBucket(ctx context.Context) error {
	for d, err := range b.cfg.Raw.Digests(ctx) {
		if err != nil {
			return err
		}
		if _, named := slices.BinarySearchFunc(b.names, d, func(a, b raw.Digest) int { return bytes.Compare(a[:], b[:]) }); named {
			b.manifest.RawFiles++
			b.cfg.Progress(fsck.Progress{Doing: "raw copies", Done: b.manifest.RawFiles, Total: int64(len(b.names))})
		}
	}
	b.manifest.Missing = int64(len(b.names)) - b.manifest.RawFiles
	b.manifest.Raw = part(rawFolder, 0, sha256.New())
	return nil
}

// raw writes the raw copies of the state, in the order of their names.
func (b *backup) raw(ctx context.Context) error {
	h := sha256.New()
	var size int64
	for i, d := range b.names {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, n, err := b.cfg.Raw.Encrypted(ctx, d)
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
