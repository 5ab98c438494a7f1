package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/spool"
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
	return copied(in)
}

// copied copies src to a file that only this process can read.
func copied(src io.Reader) (*place, error) {
	f, err := spool.Create()
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, src); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &place{ReaderAt: f, size: f.Size(), close: f.Close}, nil
}
