package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/fsck"
)

// unpack writes everything that the archive has into the stage folder and the database.
func (r *restore) unpack(ctx context.Context) error {
	for r.at(filesFolder) {
		if err := r.unpackFile(filesFolder, r.stage); err != nil {
			return err
		}
	}
	if err := r.database(ctx); err != nil {
		return err
	}
	if err := r.unpackRaw(ctx); err != nil {
		return err
	}
	return r.json(manifestName, &r.manifest)
}

// unpackFile writes the next entry, a part, into a file below the folder to.
func (r *restore) unpackFile(folder, to string) error {
	name := filepath.FromSlash(strings.TrimPrefix(r.next.Name, folder))
	if !filepath.IsLocal(name) {
		return fmt.Errorf("%w: a name in it leads elsewhere", ErrDamaged)
	}
	f, err := create(filepath.Join(to, name))
	if err != nil {
		return err
	}
	p, err := r.file(f)
	r.parts = append(r.parts, p)
	return errors.Join(err, f.Close())
}

func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (r *restore) dsn() string {
	if r.head.Engine == sqldb.Postgres {
		return r.cfg.DSN
	}
	return "sqlite:" + filepath.Join(r.stage, dataFile)
}

// database restores the database as it was.
func (r *restore) database(ctx context.Context) error {
	r.cfg.Progress(fsck.Progress{Doing: "database"})
	if r.head.Engine == sqldb.SQLite {
		if !r.at(dataFolder + dataFile) {
			return fmt.Errorf("%w: it has no database", ErrDamaged)
		}
		if err := r.unpackFile(dataFolder, r.stage); err != nil {
			return err
		}
		return r.cfg.Schema(ctx, r.stage, r.dsn())
	}
	if err := r.cfg.Schema(ctx, r.stage, r.dsn()); err != nil {
		return err
	}
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: r.cfg.DSN})
	if err != nil {
		return err
	}
	return errors.Join(db.Write(ctx, func(tx *sqldb.Tx) error { return r.tables(ctx, tx) }), db.Close())
}

// tables fills the tables, which have to be those that the archive has.
func (r *restore) tables(ctx context.Context, tx *sqldb.Tx) error {
	have, err := tx.Tables(ctx)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(have, r.head.Tables, sameTable) {
		return ErrVersion
	}
	for i, t := range r.head.Tables {
		r.cfg.Progress(fsck.Progress{Doing: "tables", Done: int64(i), Total: int64(len(have))})
		if !r.at(dataFolder + t.Name + "/") {
			return fmt.Errorf("%w: it lacks a table", ErrDamaged)
		}
		in := r.joined(dataFolder + t.Name)
		rows, err := tx.CopyIn(ctx, t, in)
		if err != nil {
			return err
		}
		p := part(in.name, in.bytes, in.hash)
		p.Rows = rows
		r.parts = append(r.parts, p)
	}
	for _, s := range r.head.Sequences {
		if err := tx.SetSequence(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// sameTable compares tables. Columns that were added by ALTER TABLE are in the order
// in which that was done, which is the same for the same migrations.
func sameTable(a, b sqldb.Table) bool { return a.Name == b.Name && slices.Equal(a.Columns, b.Columns) }

// unpackRaw writes the raw copies into the folder raw.
func (r *restore) unpackRaw(ctx context.Context) error {
	h := sha256.New()
	for r.at(rawFolder) {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := raw.ParseDigest(strings.TrimPrefix(r.next.Name, rawFolder))
		if err != nil {
			return fmt.Errorf("%w: a raw copy has no digest for a name", ErrDamaged)
		}
		f, err := create(filepath.Join(r.stage, "raw", raw.Path(d)))
		if err != nil {
			return err
		}
		_, _ = io.WriteString(h, d.String()) // a hash never fails
		n, err := io.Copy(io.MultiWriter(f, h), inArchive{r.tar})
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if err := r.advance(); err != nil {
			return err
		}
		r.raw.Bytes += n
		r.rawFiles++
		r.cfg.Progress(fsck.Progress{Doing: "raw copies", Done: r.rawFiles, Bytes: r.raw.Bytes})
	}
	r.raw = part(rawFolder, r.raw.Bytes, h)
	return nil
}
