package raw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
)

// Open returns the content that has come, from its beginning. The caller closes it.
// Reading fails with [ErrDamaged] where a part is not what was kept. ctx holds until it
// is closed.
func (p *Partial) Open(ctx context.Context) (io.ReadCloser, error) {
	list, err := p.parts(ctx)
	if err != nil {
		return nil, fmt.Errorf("raw: partial file %s: %w", p.id, err)
	}
	return &assembly{ctx: ctx, p: p, rest: list}, nil
}

// assembly reads one part after the other.
type assembly struct {
	ctx  context.Context //nolint:containedctx // lives as long as one call
	p    *Partial
	rest []part // not begun

	f    *stored // nil between parts
	r    io.Reader
	left int64 // of the part
}

func (a *assembly) Read(b []byte) (int, error) {
	if a.f == nil {
		if len(a.rest) == 0 {
			return 0, io.EOF
		}
		if err := a.next(); err != nil {
			return 0, fmt.Errorf("raw: partial file %s: %w", a.p.id, err)
		}
	}
	n, err := a.r.Read(b)
	a.left -= int64(n)
	switch {
	case err == nil && a.left >= 0:
		return n, nil
	case errors.Is(err, io.EOF) && a.left == 0:
		return n, a.Close()
	}
	return n, fmt.Errorf("raw: partial file %s: %w", a.p.id, a.f.because(ErrDamaged))
}

// next opens the next part.
func (a *assembly) next() error {
	next := a.rest[0]
	lies, _, err := a.p.store.files.get(a.ctx, path.Join(a.p.folder(), next.name()))
	if err != nil {
		return err
	}
	f := &stored{ReadCloser: lies}
	r, err := a.p.store.cipher.NewDecryptingReader(f, a.p.place(next.start))
	if err != nil {
		return errors.Join(f.because(ErrDamaged), f.Close())
	}
	a.rest, a.f, a.r, a.left = a.rest[1:], f, r, next.size
	return nil
}

// Close ends reading.
func (a *assembly) Close() error {
	if a.f == nil {
		return nil
	}
	f := a.f
	a.f = nil
	return f.Close()
}
