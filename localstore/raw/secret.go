package raw

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// secretName is the object of a store's secret. It lies in the store, so that all
// processes that share a store have the same one, encrypted as files are.
const secretName = "secret"

// secretSize is that of the secret, in bytes.
const secretSize = 64

var secretPlace = []byte("secret of names")

// openSecret reads the secret that names are made with, or makes it, unless the store has
// to be that of an identity.
func (s *Store) openSecret(ctx context.Context, identity string) error {
	err := s.readSecret(ctx)
	switch {
	case err == nil:
		return s.is(identity)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case identity != "":
		return fmt.Errorf("it has no secret of names, as one that is new: %w", ErrOther)
	}
	if o, ok := s.files.(*objects); ok {
		if err := o.empty(ctx); err != nil {
			return err
		}
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	if err := s.writeSecret(ctx, secret, false); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.readSecret(ctx) // another process may have been the first
}

func (s *Store) readSecret(ctx context.Context) error {
	f, _, err := s.files.get(ctx, secretName)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := s.cipher.NewDecryptingReader(f, secretPlace)
	if err != nil {
		return fmt.Errorf("the secret of names: %w", ErrDamaged)
	}
	secret, err := io.ReadAll(r)
	if err != nil || len(secret) != secretSize {
		return fmt.Errorf("the secret of names cannot be read with this key file: %w", ErrDamaged)
	}
	s.secret = secret
	return nil
}

// writeSecret encrypts the secret with the newest key and keeps it.
func (s *Store) writeSecret(ctx context.Context, secret []byte, replace bool) error {
	f, err := s.disk.create(s.unfinished())
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	if _, _, err := s.encryptAt(ctx, secretPlace, f, bytes.NewReader(secret), secretSize); err != nil {
		return err
	}
	return s.files.put(ctx, f.Name(), secretName, replace)
}
