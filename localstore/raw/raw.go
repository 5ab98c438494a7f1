// Package raw keeps what a source sent, byte for byte and encrypted, before
// anything is made of it.
//
// A [Store] finds files by the SHA-256 of their content, so that the same bytes are
// kept once, in a folder or in a [Bucket]. [Store.Put] returns when the bytes are
// durable; [Store.Open] gives them back and fails, at the latest at the end, if they
// are not the same bytes. Both stream in constant memory. A [Partial]
// is content on its way here, which comes bit by bit.
//
// Files are encrypted with AES-256-GCM under a key of their own, which is derived
// from the key file (Tink streaming AEAD, AES256_GCM_HKDF_1MB). Without the key file
// nothing can be read: back it up apart from the files. Where files lie and why is in
// DESIGN.md; no path says who somebody is.
package raw

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

var (
	// ErrTooLarge says that the input has more bytes than the caller's limit.
	// Nothing was kept.
	ErrTooLarge = errors.New("input is larger than the limit")

	// ErrDamaged says that a file does not hold what was put: it was changed, cut,
	// exchanged or encrypted under another key.
	ErrDamaged = errors.New("raw copy is damaged")

	// ErrNotFound says that no file has the digest.
	ErrNotFound = errors.New("no such raw copy")
)

// Digest is the SHA-256 of a file's content and its name.
type Digest [sha256.Size]byte

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return Digest{}, errors.New("raw: a digest has 64 hexadecimal digits")
	}
	return Digest(b), nil
}

// Config configures a [Store]. Dir and KeyFile are required.
type Config struct {
	// Dir is the folder of the files; it is created with mode 0700. With a Bucket it has
	// only those that are on their way there: it needs room for the largest ones.
	Dir string
	// KeyFile is a file made by [CreateKey]. Only its owner may have access to it.
	KeyFile string
	// Bucket has the files. Defaults to none: they are in Dir.
	Bucket Bucket
	// Identity is that of the store, see [Store.Identity]: another one is [ErrOther], and so
	// is one that is empty, which stays so. Defaults to any.
	Identity string
	// Now dates files, and what an earlier process left unfinished. Defaults to time.Now.
	Now func() time.Time
}

// unfinishedAge is how old an unfinished file must be before it is removed: long
// after any process that could still be writing it.
const unfinishedAge = 24 * time.Hour

// openTime bounds how long [Open] waits for a bucket.
const openTime = time.Minute

// Store is a set of encrypted files. It is safe for concurrent use, also by
// several processes.
type Store struct {
	dir    string
	cipher tink.StreamingAEAD
	secret []byte // that names are made with
	files  shelf
	local  bool // files are durable when they are on the disk
	disk   disk
	now    func() time.Time
}

// Open reads the key and returns a Store over cfg.Dir.
func Open(cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	handle, err := readKey(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	cipher, err := streamingaead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("raw: key file: %w", err)
	}
	s := &Store{dir: cfg.Dir, cipher: cipher, local: cfg.Bucket == nil, disk: realDisk, now: cfg.Now}
	if cfg.Dir == "" {
		return nil, errors.New("raw: no folder")
	}
	if err := os.MkdirAll(s.unfinished(), 0o700); err != nil {
		return nil, fmt.Errorf("raw: %w", full(err))
	}
	if err := s.clean(cfg.Now()); err != nil {
		return nil, fmt.Errorf("raw: %w", full(err))
	}
	if err := s.connect(cfg.Bucket, cfg.Identity); err != nil {
		return nil, fmt.Errorf("raw: %w", full(err))
	}
	return s, nil
}

// connect makes s.files ready.
func (s *Store) connect(bucket Bucket, identity string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	if bucket == nil {
		s.files = &folder{dir: s.dir, disk: &s.disk, made: make(map[string]bool)}
		return s.openSecret(ctx, identity)
	}
	o := &objects{store: s, bucket: bucket}
	s.files = o
	if err := s.openSecret(ctx, identity); err != nil {
		return err
	}
	var err error
	o.siv, err = subtle.NewAESSIV(s.secret)
	return err
}

// unfinishedFolder is the folder in which files are written before they get their name.
const unfinishedFolder = "unfinished"

func (s *Store) unfinished() string { return filepath.Join(s.dir, unfinishedFolder) }

// clean removes what processes that died have left.
func (s *Store) clean(now time.Time) error {
	entries, err := os.ReadDir(s.unfinished())
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // another process has finished it
		}
		if err != nil {
			return err
		}
		if now.Sub(info.ModTime()) < unfinishedAge {
			continue
		}
		if err := os.Remove(filepath.Join(s.unfinished(), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// full gives err the sentinel of a full disk if it is one.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", sqldb.ErrFull, err)
	}
	return err
}

// disk is what can fail while a file is kept; tests replace it.
type disk struct {
	create  func(dir string) (file, error)
	mkdir   func(path string) error
	rename  func(from, to string) error
	link    func(target, by, name string) error
	syncDir func(path string) error
}

type file interface {
	io.WriteCloser
	Sync() error
	Name() string
}

var realDisk = disk{
	create:  func(dir string) (file, error) { return os.CreateTemp(dir, "raw-") }, // mode 0600
	mkdir:   func(path string) error { return os.MkdirAll(path, 0o700) },
	rename:  os.Rename,
	link:    link,
	syncDir: syncDir,
}

// link makes name a symbolic link to target, whatever it is now. It makes another one
// first, in the folder by.
func link(target, by, name string) error {
	temporary := filepath.Join(by, "link-"+rand.Text())
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		return errors.Join(err, os.Remove(temporary))
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
