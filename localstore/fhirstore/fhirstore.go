// Package fhirstore keeps the resources of the FHIR API, every version of them, and
// finds them again.
//
// Start from [Store.Keep], which makes the raw copy of the changes of one request, and
// [Store.Put], which takes them in a transaction of the caller, so that a load of the same
// bytes can be enqueued with them. Bytes lie in
// the raw store only, one encrypted file for each request; the tables hold where. So
// nothing is kept twice, and rotation of keys, backups and fsck are those of raw
// copies. DESIGN.md says why.
//
// The package knows no FHIR: whoever puts a resource says by which [Term] and [Span]
// it is found. Terms are kept as keyed hashes, so that no name or number of a patient
// is readable in the tables; ids, dates and types are, as they are in the OMOP tables.
package fhirstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

var (
	// ErrNotFound says that there is no such resource or version.
	ErrNotFound = errors.New("no such resource")

	// ErrDamaged says that a raw copy does not hold the version that it should.
	// Restore it from a backup.
	ErrDamaged = errors.New("the raw copy does not hold the resource")
)

// minSecret is the least length of Config.Secret in bytes.
const minSecret = 32

// Config configures a [Store]. All fields are required.
type Config struct {
	DB  *sqldb.DB
	Raw *raw.Store

	// Secret is what the hashes of terms are made with, at least 32 bytes. Under
	// another one nothing that was put is found by a term.
	Secret []byte
}

// Store is the resources in one database. It is safe for concurrent use.
type Store struct {
	raw *raw.Store
	key []byte
}

// Open brings the tables up to date and returns the store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Raw == nil || len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("fhirstore: a database, raw copies and a secret of %d bytes are required", minSecret)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "fhir", own); err != nil {
		return nil, fmt.Errorf("fhirstore: %w", err)
	}
	derive := hmac.New(sha256.New, cfg.Secret)
	derive.Write([]byte("trialmesh fhirstore 1")) // never fails, as all writes to a hash below
	return &Store{raw: cfg.Raw, key: derive.Sum(nil)}, nil
}

// Lock makes transactions that change resources follow one another. It comes before
// whatever a change is decided on is read.
func (*Store) Lock(ctx context.Context, tx *sqldb.Tx) error { return tx.Lock(ctx, "fhir") }

// hash is a keyed hash, the first half of HMAC-SHA256.
type hash [16]byte

func (s *Store) hash(parts ...[]byte) hash {
	h := hmac.New(sha256.New, s.key)
	for _, p := range parts {
		h.Write(p)
		h.Write([]byte{0}) // in no part: FHIR forbids U+0000
	}
	return hash(h.Sum(nil)[:len(hash{})])
}

// Version is a version of a resource.
type Version struct {
	private

	Type, ID string
	Version  int64 // from 1
	Updated  time.Time
	Deleted  bool   // this version is the deletion
	Body     []byte // filled in by [Store.Load]; none of a deletion

	key     int64 // by which its search sorts
	number  int64
	content hash
	place   place
}

// Size is the length of the body in bytes, also before it is loaded.
func (v Version) Size() int64 { return v.place.length }

// place is where the bytes of a version lie.
type place struct {
	file          raw.Digest
	start, length int64
	digest        hash
}

// Content stands for what a version says, whatever its number. Equal content is the
// same.
type Content struct{ hash hash }

// Content returns what stands for a resource without its version.
func (s *Store) Content(body []byte) Content { return Content{s.hash([]byte("content"), body)} }

// Same reports whether v has the given content and is no deletion.
func (v Version) Same(c Content) bool { return v.Version > 0 && !v.Deleted && v.content == c.hash }

const versionColumns = `r.type, r.id, r.number, v.version, v.updated_ms, v.deleted, v.file, v.start, v.length, v.content, v.digest`

// scan reads versionColumns and what comes after them.
func (v *Version) scan(row interface{ Scan(dest ...any) error }, more ...any) error {
	var updated int64
	var file, content, digest []byte
	dest := []any{&v.Type, &v.ID, &v.number, &v.Version, &updated, &v.Deleted, &file, &v.place.start, &v.place.length, &content, &digest}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return err
	}
	v.Updated = time.UnixMilli(updated).UTC()
	if copy(v.place.file[:], file) != len(file) || copy(v.content[:], content) != len(content) || copy(v.place.digest[:], digest) != len(digest) {
		return ErrDamaged
	}
	return nil
}

// Head returns the newest version of a resource, which may be its deletion, or
// [ErrNotFound]; without its body.
func (s *Store) Head(ctx context.Context, tx *sqldb.Tx, resourceType, id string) (Version, error) {
	return s.version(ctx, tx, `v.version = r.version`, resourceType, id)
}

// Version is [Store.Head] for the version with the given number.
func (s *Store) Version(ctx context.Context, tx *sqldb.Tx, resourceType, id string, version int64) (Version, error) {
	return s.version(ctx, tx, `v.version = ?`, resourceType, id, version)
}

func (*Store) version(ctx context.Context, tx *sqldb.Tx, which string, args ...any) (Version, error) {
	var v Version
	err := v.scan(tx.QueryRow(ctx, `SELECT `+versionColumns+` FROM fhir_resource r JOIN fhir_version v ON v.number = r.number
		WHERE r.type = ? AND r.id = ? AND `+which, args...))
	if errors.Is(err, sqldb.ErrNoRows) {
		return Version{}, ErrNotFound
	}
	return v, err
}
