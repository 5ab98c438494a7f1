// Package raw keeps what a source sent, byte for byte and encrypted, before
// anything is made of it.
//
// A [Store] is a folder of files named by the SHA-256 of their content, so that
// the same bytes are kept once. [Store.Put] returns when the bytes are on disk;
// [Store.Open] gives them back and fails, at the latest at the end, if they are
// not the same bytes. Both stream in constant memory. A [Partial]
// is content on its way here, which comes bit by bit.
//
// Files are encrypted with AES-256-GCM under a key of their own, which is derived
// from the key file (Tink streaming AEAD, AES256_GCM_HKDF_1MB). Names are hashes of
// the content: whoever has both a file's exact content and the folder can tell that
// it is there. Without the key file nothing can be read: back it up apart from
// the folder.
package raw

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

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
	// Dir is the folder of the files; it is created with mode 0700.
	Dir string
	// KeyFile is a file made by [CreateKey]. Only its owner may have access to it.
	KeyFile string
	// Now dates what an earlier process left unfinished. Defaults to time.Now.
	Now func() time.Time
}

// unfinishedAge is how old an unfinished file must be before it is removed: long
// after any process that could still be writing it.
const unfinishedAge = 24 * time.Hour

// Store is a folder of encrypted files. It is safe for concurrent use, also by
// several processes.
type Store struct {
	dir    string
	cipher tink.StreamingAEAD
	disk   disk
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
	s := &Store{dir: cfg.Dir, cipher: cipher, disk: realDisk}
	if cfg.Dir == "" {
		return nil, errors.New("raw: no folder")
	}
	if err := os.MkdirAll(s.unfinished(), 0o700); err != nil {
		return nil, fmt.Errorf("raw: %w", full(err))
	}
	if err := s.clean(cfg.Now()); err != nil {
		return nil, fmt.Errorf("raw: %w", full(err))
	}
	return s, nil
}

// unfinished is the folder in which files are written before they get their name.
func (s *Store) unfinished() string { return filepath.Join(s.dir, "unfinished") }

// path spreads files over 256 folders.
func (s *Store) path(d Digest) string { return filepath.Join(s.dir, Path(d)) }

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
	syncDir: syncDir,
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
