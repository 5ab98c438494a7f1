package vocab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// This file makes a load go on where one of the same files was broken off. What it had
// stored is kept in the tables that no lookup sees, and in the same transactions how far
// each file had come.

// files are those that a load reads, the last two if they are there.
var files = []string{"CONCEPT", "CONCEPT_RELATIONSHIP", "CONCEPT_ANCESTOR", "VOCABULARY"}

// sourceOf returns the digest of the files as they are stored.
func sourceOf(ctx context.Context, folder fs.FS) (string, error) {
	all := sha256.New()
	for _, name := range files {
		path, err := find(folder, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		f, err := folder.Open(path)
		if err != nil {
			return "", err
		}
		one := sha256.New()
		_, err = io.Copy(one, &mindful{ctx, f})
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(all, "%s %x\n", path, one.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// mindful reads until its context ends.
type mindful struct {
	ctx context.Context //nolint:containedctx // lives as long as one copy
	r   io.Reader
}

func (m *mindful) Read(p []byte) (int, error) {
	if err := context.Cause(m.ctx); err != nil {
		return 0, err
	}
	return m.r.Read(p)
}

// begin makes the tables to fill, or finds those that a load of the same files has left.
func (l *loading) begin(ctx context.Context, tables string) error {
	return l.db.Write(ctx, func(tx *sqldb.Tx) error {
		l.done = map[string]int64{}
		if err := tx.Each(ctx, "SELECT file, line FROM vocabulary_begun WHERE source = ?", []any{l.source}, func(rows *sqldb.Rows) error {
			var file string
			var line int64
			err := rows.Scan(&file, &line)
			l.done[file] = line
			return err
		}); err != nil || len(l.done) > 0 {
			return err
		}
		if _, err := tx.Exec(ctx, tables); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM vocabulary_begun"); err != nil {
			return err
		}
		return l.reached(ctx, tx, "", 0)
	})
}

// reached notes that a file is stored up to a line.
func (l *loading) reached(ctx context.Context, tx *sqldb.Tx, file string, line int) error {
	_, err := tx.Exec(ctx, `INSERT INTO vocabulary_begun (file, source, line) VALUES (?, ?, ?)
		ON CONFLICT (file) DO UPDATE SET line = excluded.line`, file, l.source, line)
	return err
}

// watched tells how far its files are read.
type watched struct {
	fs.FS
	tell func(file string, read, size int64)
}

// Open implements fs.FS.
func (w watched) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	return &watchedFile{File: f, name: name, size: info.Size(), tell: w.tell}, nil
}

type watchedFile struct {
	fs.File
	name       string
	read, size int64
	tell       func(file string, read, size int64)
}

func (f *watchedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += int64(n)
	f.tell(f.name, f.read, f.size)
	return n, err
}
