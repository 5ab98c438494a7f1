package parquet

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// place is a file that can be read at any offset. It remembers its own failure, so that
// damage in the data can be told from a failing disk.
type place struct {
	io.ReaderAt
	size  int64
	close func() error
	err   error
}

// ReadAt implements [io.ReaderAt]. The library reads from one goroutine.
func (p *place) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) && off >= 0 {
		p.err = err
	}
	return n, err
}

func (p *place) failed() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("parquet: read input: %w", p.err)
}

// random is what an open file has.
type random interface {
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// placeOf returns src where it is, if it is a Parquet file on disk, or else a copy.
func placeOf(ctx context.Context, src io.Reader, opts fhir.Options) (*place, error) {
	if f, ok := src.(random); ok {
		info, err := f.Stat()
		head := make([]byte, len(magic))
		if err == nil && info.Mode().IsRegular() {
			if n, _ := f.ReadAt(head, 0); Detect(head[:n]) {
				return &place{ReaderAt: f, size: info.Size(), close: func() error { return nil }}, nil
			}
		}
	}
	in, err := fhir.OpenInput(ctx, src, opts)
	if err != nil {
		return nil, err
	}
	return spool(in)
}

// spool copies src to a file that has no name, so that it ends with the process, and that
// is encrypted, so that nothing of it can be read off the disk afterwards. It lies in the
// folder for temporary files.
func spool(src io.Reader) (*place, error) {
	f, err := os.CreateTemp("", "trialmesh-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("parquet: keep input: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("parquet: keep input: %w", errors.Join(err, f.Close()))
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &sealed{file: f, block: block}
	// What the source says is its own: it may be a problem of the data.
	in := &failing{Reader: src}
	n, err := io.Copy(cipher.StreamWriter{S: s.stream(0), W: f}, in)
	if in.err != nil {
		return nil, errors.Join(in.err, f.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("parquet: keep input: %w", errors.Join(err, f.Close()))
	}
	return &place{ReaderAt: s, size: n, close: f.Close}, nil
}

// failing remembers why a reader failed.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// sealed is a file in AES-256 in counter mode. The key is for it alone, so the counter
// begins at zero; nobody else can write to it, so nothing is authenticated.
type sealed struct {
	file  *os.File
	block cipher.Block
}

// stream is the key stream from an offset on that is a multiple of the block's size.
func (s *sealed) stream(off int64) cipher.Stream {
	counter := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(counter[8:], uint64(off/aes.BlockSize))
	return cipher.NewCTR(s.block, counter)
}

// ReadAt implements [io.ReaderAt].
func (s *sealed) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.file.ReadAt(p, off)
	if n == 0 {
		return n, err
	}
	skip := off % aes.BlockSize
	stream := s.stream(off - skip)
	var skipped [aes.BlockSize]byte
	stream.XORKeyStream(skipped[:skip], skipped[:skip])
	stream.XORKeyStream(p[:n], p[:n])
	return n, err
}
