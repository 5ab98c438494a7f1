// Package backup writes a node, while it runs, into one encrypted file, and makes a
// node of such a file again.
//
// Start from [Write] and [Restore]. A backup is one state: the database as of one
// moment, then every raw copy that this state names. Raw copies are named by their
// content and never changed, so those that are copied later are the same, and every
// acknowledged job of the state has its file.
//
// The file is a tar archive that is encrypted to recipients with age: it holds the
// node's identity and the key of its raw copies, so there is no plain form. DESIGN.md
// has the layout, and what going back to an earlier state means.
package backup

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// format is the number of the layout.
const format = 1

// Parts of an archive, in order: head, files, database, raw copies, manifest.
const (
	headName     = "head.json"
	filesFolder  = "files/"
	dataFolder   = "database/"
	rawFolder    = "raw/"
	manifestName = "manifest.json"
)

// dataFile is the SQLite database, below dataFolder and in a node's directory.
const dataFile = "data.db"

// Head is what an archive begins with.
type Head struct {
	Format  int           `json:"format"`
	Program string        `json:"program"` // version that wrote it
	At      time.Time     `json:"at"`      // the state is that of this moment or one shortly after
	Engine  sqldb.Dialect `json:"engine"`

	// Bucket is the address of the bucket that has the raw copies: they are not in the
	// archive then. Empty if they are.
	Bucket string `json:"bucket,omitempty"`

	// Of PostgreSQL.
	Tables    []sqldb.Table    `json:"tables,omitempty"`
	Sequences []sqldb.Sequence `json:"sequences,omitempty"`
}

// Part is a file of the node's directory, the database or one of its tables.
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
	Rows   int64  `json:"rows,omitempty"`
}

// Manifest is what an archive ends with.
type Manifest struct {
	Head
	Parts []Part `json:"parts"`

	// Raw is all raw copies as one part: its digest is over each one's name and bytes.
	Raw      Part  `json:"raw"`
	RawFiles int64 `json:"rawFiles"` // in the archive or in the bucket
	// Missing is how many raw copies the database names that were not there.
	Missing int64 `json:"missing"`
}

// Bytes is how much there is in all parts.
func (m Manifest) Bytes() int64 {
	n := m.Raw.Bytes
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

var (
	// ErrDamaged says that an archive is not what was written: cut, changed, or not
	// written to its end. Take another one.
	ErrDamaged = errors.New("the backup is damaged or not whole")

	// ErrKey says that no key opens an archive.
	ErrKey = errors.New("none of the keys opens the backup: it was made for other recipients, or its beginning is damaged")

	// ErrVersion says that an archive is of another version of the program, whose
	// tables are different. Restore it with that version, then upgrade.
	ErrVersion = errors.New("the backup is of another version of trialmesh: restore it with that one, then upgrade")
)

// Recipient is somebody who can open a backup.
type Recipient = age.Recipient

// Identity is a key that opens backups.
type Identity = age.Identity

// ParseRecipients reads public keys of age (age1…), one a line; empty lines and those
// that begin with # are passed over.
func ParseRecipients(text string) ([]Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("recipients: %w; want keys that begin with age1, as age-keygen prints them", err)
	}
	return list, nil
}

// ParseIdentities reads secret keys of age (AGE-SECRET-KEY-…), as age-keygen writes them.
func ParseIdentities(r io.Reader) ([]Identity, error) {
	list, err := age.ParseIdentities(r)
	if err != nil {
		return nil, errors.New("the file holds no secret key of age: want one that age-keygen wrote, not protected by a passphrase")
	}
	return list, nil
}
