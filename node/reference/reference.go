// Package reference keeps every version of the lists that give a site's data their
// meaning: its variables and its maps of local codes.
//
// Start from [Store]. A version is a whole file, numbered from 1 in its list and never
// changed; the newest is in force. What the files hold is up to the packages below this
// one, variable and codemap. Nothing here is about a person.
package reference

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

//go:embed migrations
var migrations embed.FS

// List names a list of reference data.
type List string

// The lists.
const (
	Variables List = "variables"
	Codes     List = "codes"
)

// ErrVersion says that a list has no such version.
var ErrVersion = problem.New(problem.NotFound, "the list has no such version")

// MaxFile bounds the file of a version, in bytes.
const MaxFile = 64 << 20

// Version describes one version of a list. Number 0 is a list that has none yet.
type Version struct {
	Number  int
	At      time.Time
	Entries int
	Digest  string // SHA-256 of the file
}

// Store keeps the versions in a database. It is safe for concurrent use, also by several
// processes.
type Store struct{ db *sqldb.DB }

// Open brings the table of db up to date and returns a Store over it.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	if err := sqldb.Migrate(ctx, db, "reference", own); err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	return &Store{db}, nil
}

// Change makes the next version of a list: change gets the file of the newest, nil if
// there is none, and returns that of the next with its number of entries. A file that is
// the same makes no version; then the newest is returned. Changes of one list follow one
// another.
func (s *Store) Change(ctx context.Context, list List, at time.Time, change func(newest []byte) (next []byte, entries int, err error)) (Version, error) {
	var v Version
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "reference/"+string(list)); err != nil {
			return err
		}
		newest, content, err := read(ctx, tx, list, 0)
		if err != nil {
			return err
		}
		next, entries, err := change(content)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(next)
		v = Version{Number: newest.Number + 1, At: at, Entries: entries, Digest: hex.EncodeToString(sum[:])}
		if v.Digest == newest.Digest {
			v = newest
			return nil
		}
		packed, err := pack(next)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO reference_version (list, version, created_at, entries, digest, content) VALUES (?, ?, ?, ?, ?, ?)`,
			string(list), v.Number, v.At, v.Entries, v.Digest, packed)
		return err
	})
	if err != nil {
		return Version{}, fmt.Errorf("reference: change %s: %w", list, err)
	}
	return v, nil
}

// Read returns a version of a list and its file; number 0 is the newest. A list without
// a version is the zero Version and no file; a number it does not have is [ErrVersion].
func (s *Store) Read(ctx context.Context, list List, number int) (v Version, content []byte, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		v, content, err = read(ctx, tx, list, number)
		return err
	})
	if err != nil {
		return Version{}, nil, fmt.Errorf("reference: %s: %w", list, err)
	}
	return v, content, nil
}

// Newest returns the number of the version in force, 0 for none.
func (s *Store) Newest(ctx context.Context, list List) (number int, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM reference_version WHERE list = ?`, string(list)).Scan(&number)
	})
	if err != nil {
		return 0, fmt.Errorf("reference: %s: %w", list, err)
	}
	return number, nil
}

// Versions returns all versions of a list, newest first.
func (s *Store) Versions(ctx context.Context, list List) ([]Version, error) {
	var all []Version
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT version, created_at, entries, digest FROM reference_version WHERE list = ? ORDER BY version DESC`, []any{string(list)}, func(rows *sqldb.Rows) error {
			var v Version
			if err := rows.Scan(&v.Number, &v.At, &v.Entries, &v.Digest); err != nil {
				return err
			}
			all = append(all, v)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reference: versions of %s: %w", list, err)
	}
	return all, nil
}

func read(ctx context.Context, tx *sqldb.Tx, list List, number int) (Version, []byte, error) {
	var v Version
	var packed []byte
	err := tx.QueryRow(ctx, `SELECT version, created_at, entries, digest, content FROM reference_version
		WHERE list = ? AND (? = 0 OR version = ?) ORDER BY version DESC LIMIT 1`, string(list), number, number).
		Scan(&v.Number, &v.At, &v.Entries, &v.Digest, &packed)
	switch {
	case errors.Is(err, sqldb.ErrNoRows) && number == 0:
		return Version{}, nil, nil
	case errors.Is(err, sqldb.ErrNoRows):
		return Version{}, nil, ErrVersion
	case err != nil:
		return Version{}, nil, err
	}
	content, err := unpack(packed)
	return v, content, err
}

func pack(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 4*MaxFile))
}
