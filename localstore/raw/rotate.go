package raw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/streamingaead"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// RotateKey adds a new key to the key file, with which files are encrypted from the
// next [Open] on. Older keys stay, so that older files can be read. A Store that is
// open cannot read what another one writes with the new key: let there be none. Of two
// calls at once one loses the other's key: callers see to it that there is one.
func RotateKey(path string) error {
	if err := rotateKey(path); err != nil {
		return fmt.Errorf("raw: rotate key: %w", full(err))
	}
	return nil
}

func rotateKey(path string) error {
	handle, err := readKey(path)
	if err != nil {
		return err
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(streamingaead.AES256GCMHKDF1MBKeyTemplate())
	if err != nil {
		return err
	}
	if err := manager.SetPrimary(id); err != nil {
		return err
	}
	if handle, err = manager.Handle(); err != nil {
		return err
	}
	return replaceKey(path, handle)
}

// replaceKey puts a key file in the place of another one, durably.
func replaceKey(path string, handle *keyset.Handle) error {
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&buf)); err != nil {
		return err
	}
	if buf.Len() >= maxKeyFile {
		return errors.New("the key file has too many keys")
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(buf.Bytes())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Reencrypted counts what [Reencrypt] did.
type Reencrypted struct {
	Files   int64 `json:"files"`   // encrypted anew
	Before  int64 `json:"before"`  // that had the newest key already
	Damaged int64 `json:"damaged"` // that cannot be read: they are as they were
}

// Reencrypt encrypts every file of a store with its newest key, so that a copy of an
// older key file opens none of them any more. Each file is replaced when its new form
// is durable and has the same content. It goes on where an earlier call ended. No
// Store may be open on the folder that was opened before the key was rotated.
func Reencrypt(ctx context.Context, cfg Config, progress func(Reencrypted)) (Reencrypted, error) {
	var n Reencrypted
	s, err := Open(cfg)
	if err != nil {
		return n, err
	}
	newest, err := newestCipher(cfg.KeyFile)
	if err != nil {
		return n, fmt.Errorf("raw: %w", err)
	}
	if err := s.writeSecret(ctx, s.secret, true); err != nil {
		return n, fmt.Errorf("raw: reencrypt: %w", full(err))
	}
	for d, err := range s.Digests(ctx) {
		if err != nil {
			return n, err
		}
		done, err := s.begins(ctx, d, newest)
		switch {
		case err == nil && done:
			n.Before++
		case err == nil:
			if err = s.reencrypt(ctx, d); err == nil {
				n.Files++
			}
		}
		if errors.Is(err, ErrDamaged) {
			n.Damaged++
			err = nil
		}
		if err != nil {
			return n, fmt.Errorf("raw: reencrypt %s: %w", d, full(err))
		}
		progress(n)
	}
	return n, nil
}

// newestCipher reads what was encrypted with the newest key only.
func newestCipher(path string) (tink.StreamingAEAD, error) {
	handle, err := readKey(path)
	if err != nil {
		return nil, err
	}
	info := handle.KeysetInfo()
	manager := keyset.NewManagerFromHandle(handle)
	for _, key := range info.GetKeyInfo() {
		if key.GetKeyId() == info.GetPrimaryKeyId() {
			continue
		}
		if err := manager.Delete(key.GetKeyId()); err != nil {
			return nil, err
		}
	}
	if handle, err = manager.Handle(); err != nil {
		return nil, err
	}
	return streamingaead.New(handle)
}

// begins reports whether the first segment of a file was encrypted with a key of cipher.
func (s *Store) begins(ctx context.Context, d Digest, cipher tink.StreamingAEAD) (bool, error) {
	lies, _, err := s.files.open(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return false, ErrDamaged // a name that leads nowhere
	}
	if err != nil {
		return false, err
	}
	f := &stored{ReadCloser: lies}
	defer f.Close()
	r, err := cipher.NewDecryptingReader(f, nil)
	if err != nil {
		return false, f.err // too short for any key: reading it tells
	}
	_, err = io.ReadFull(r, make([]byte, 1))
	return err == nil || errors.Is(err, io.EOF), f.err
}

// reencrypt replaces a file by one of the same content under the newest key.
func (s *Store) reencrypt(ctx context.Context, d Digest) error {
	src, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := s.disk.create(s.unfinished())
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	got, _, err := s.encrypt(ctx, f, src, 1<<62)
	if err != nil {
		return err
	}
	if got != d {
		return ErrDamaged
	}
	return s.files.reencrypted(ctx, f.Name(), d)
}
