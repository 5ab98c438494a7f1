package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// pieceSize is how much of a stream of unknown length is one entry of the tar, which
// gives sizes first.
const pieceSize = 4 << 20

// maxJSON bounds head and manifest when they are read, in bytes.
const maxJSON = 64 << 20

// writer writes the entries of an archive.
type writer struct {
	tar *tar.Writer
	at  time.Time
}

// entry writes one entry of size bytes.
func (w *writer) entry(name string, size int64, r io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.at, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(w.tar, io.LimitReader(r, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (w *writer) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.entry(name, int64(len(text)), bytes.NewReader(text))
}

// file writes a part that is one entry.
func (w *writer) file(name string, size int64, r io.Reader) (Part, error) {
	h := sha256.New()
	err := w.entry(name, size, io.TeeReader(r, h))
	return part(name, size, h), err
}

func part(name string, size int64, h hash.Hash) Part {
	return Part{Name: name, Bytes: size, SHA256: hex.EncodeToString(h.Sum(nil))}
}

// pieces writes a part of unknown length as entries name/00000000 and so on. Close
// ends it.
type pieces struct {
	w     *writer
	name  string
	hash  hash.Hash
	buf   []byte
	n     int
	bytes int64
}

func (w *writer) pieces(name string) *pieces {
	return &pieces{w: w, name: name, hash: sha256.New(), buf: make([]byte, 0, pieceSize)}
}

func (p *pieces) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n := min(len(b), pieceSize-len(p.buf))
		p.buf, b, written = append(p.buf, b[:n]...), b[n:], written+n
		if len(p.buf) == pieceSize {
			if err := p.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (p *pieces) flush() error {
	_, _ = p.hash.Write(p.buf) // a hash never fails
	err := p.w.entry(fmt.Sprintf("%s/%08d", p.name, p.n), int64(len(p.buf)), bytes.NewReader(p.buf))
	p.n, p.bytes, p.buf = p.n+1, p.bytes+int64(len(p.buf)), p.buf[:0]
	return err
}

// end writes what is left; a part without a byte is one empty entry.
func (p *pieces) end(rows int64) (Part, error) {
	if len(p.buf) > 0 || p.n == 0 {
		if err := p.flush(); err != nil {
			return Part{}, err
		}
	}
	done := part(p.name, p.bytes, p.hash)
	done.Rows = rows
	return done, nil
}

// reader reads the entries of an archive.
type reader struct {
	tar  *tar.Reader
	next *tar.Header // nil at the end
}

func newReader(r io.Reader) (*reader, error) {
	a := &reader{tar: tar.NewReader(r)}
	return a, a.advance()
}

// advance goes to the next entry.
func (a *reader) advance() error {
	var err error
	a.next, err = a.tar.Next()
	if errors.Is(err, io.EOF) {
		a.next = nil
		return nil
	}
	return damaged(err)
}

// damaged gives an error of reading an archive its sentinel.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// at reports whether the next entry lies below a folder.
func (a *reader) at(folder string) bool {
	return a.next != nil && strings.HasPrefix(a.next.Name, folder)
}

func (a *reader) json(name string, out any) error {
	if a.next == nil || a.next.Name != name {
		return fmt.Errorf("%w: it has no %s where one should be", ErrDamaged, name)
	}
	if err := json.NewDecoder(io.LimitReader(a.tar, maxJSON)).Decode(out); err != nil {
		return damaged(err)
	}
	return a.advance()
}

// file reads the next entry into w as a part.
func (a *reader) file(w io.Writer) (Part, error) {
	name, h := a.next.Name, sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), inArchive{a.tar})
	if err != nil {
		return Part{}, err
	}
	return part(name, n, h), a.advance()
}

// inArchive marks errors of reading as those of the archive.
type inArchive struct{ r io.Reader }

func (r inArchive) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// joined reads the entries of a part that [pieces] wrote as one stream.
type joined struct {
	a     *reader
	name  string
	hash  hash.Hash
	bytes int64
}

func (a *reader) joined(name string) *joined { return &joined{a: a, name: name, hash: sha256.New()} }

func (j *joined) Read(p []byte) (int, error) {
	for j.a.at(j.name + "/") {
		n, err := inArchive{j.a.tar}.Read(p)
		_, _ = j.hash.Write(p[:n]) // a hash never fails
		j.bytes += int64(n)
		if errors.Is(err, io.EOF) {
			err = j.a.advance()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}
