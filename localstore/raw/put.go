package raw

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// Put keeps what r gives until its end, at most limit bytes, and returns its
// digest and size and whether it was there already. When Put returns without an
// error the bytes are durable. On an error (of r, of ctx, [ErrTooLarge],
// sqldb.ErrFull, of the bucket) nothing partial is kept. A copy that is there but damaged is
// replaced; else origin is that of whoever put it first.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64, origin Origin) (d Digest, size int64, existed bool, err error) {
	if limit < 0 {
		return Digest{}, 0, false, errors.New("raw: put: the limit is negative")
	}
	f, err := s.disk.create(s.unfinished())
	if err != nil {
		return Digest{}, 0, false, fmt.Errorf("raw: put: %w", full(err))
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename

	d, size, err = s.encrypt(ctx, f, r, limit)
	if err != nil {
		return Digest{}, 0, false, fmt.Errorf("raw: put: %w", full(err))
	}
	if existed, err = s.keep(ctx, f.Name(), d, origin); err != nil {
		return Digest{}, 0, false, fmt.Errorf("raw: put: %w", full(err))
	}
	return d, size, existed, nil
}

// keep keeps a finished file unless one of its content is there, and reports whether
// one was.
func (s *Store) keep(ctx context.Context, from string, d Digest, origin Origin) (existed bool, err error) {
	switch err := s.Verify(ctx, d); {
	case err == nil:
		return true, s.files.confirm(ctx, d)
	case errors.Is(err, ErrNotFound):
		return false, s.files.keep(ctx, from, s.place(d, origin, s.now()), d, false)
	case errors.Is(err, ErrDamaged), s.local && ctx.Err() == nil: // a disk may not give a file back any more
		return false, s.files.keep(ctx, from, s.place(d, origin, s.now()), d, true)
	default:
		return false, err
	}
}

// encrypt writes the content of r into f and closes it, durable if it stays on the disk.
func (s *Store) encrypt(ctx context.Context, f file, r io.Reader, limit int64) (Digest, int64, error) {
	return s.encryptAt(ctx, nil, f, r, limit)
}

// encryptAt is encrypt of what is read at one place only.
func (s *Store) encryptAt(ctx context.Context, place []byte, f file, r io.Reader, limit int64) (d Digest, size int64, err error) {
	sink := &sticky{w: f}
	defer func() {
		err = errors.Join(err, f.Close())
		if sink.err != nil {
			err = sink.err // the cipher hides its cause
		}
	}()
	w, err := s.cipher.NewEncryptingWriter(sink, place)
	if err != nil {
		return Digest{}, 0, err
	}
	hash := sha256.New()
	// One byte more than allowed tells "too large" from "just fits".
	size, err = io.Copy(io.MultiWriter(hash, w), io.LimitReader(reader{ctx, r}, limit+1))
	if err != nil {
		return Digest{}, 0, err
	}
	if size > limit {
		return Digest{}, 0, fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)
	}
	if err := w.Close(); err != nil {
		return Digest{}, 0, err
	}
	if s.local {
		if err := f.Sync(); err != nil {
			return Digest{}, 0, err
		}
	}
	return Digest(hash.Sum(nil)), size, nil
}

// sticky remembers the first error of a writer.
type sticky struct {
	w   io.Writer
	err error
}

func (s *sticky) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// reader ends with the error of its context.
type reader struct {
	ctx context.Context //nolint:containedctx // lives as long as one call
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
