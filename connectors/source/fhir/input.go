package fhir

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
)

// What can be wrong with an input as a whole. finish turns these into problems.
var (
	errTruncated = errors.New("fhir: input ends early")
	errTotal     = errors.New("fhir: input over the total limit")
	errExpansion = errors.New("fhir: gzip expansion over the limit")
	errGzip      = errors.New("fhir: damaged gzip")
)

// expansionAllowance is what a gzip input may become before its ratio counts.
const expansionAllowance = 1 << 20

// input yields the uncompressed bytes of a source and enforces its limits.
type input struct {
	ctx    context.Context // of the one Read this serves; io.Reader has no place for it
	source *source
	plain  io.Reader
	zipped bool
	opts   Options
	total  int64
}

// source counts what was read and remembers its own failure, so that damage
// in the data can be told from a failing disk or network.
type source struct {
	io.Reader
	read int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func openInput(ctx context.Context, src io.Reader, opts Options) (*input, error) {
	in := &input{ctx: ctx, source: &source{Reader: src}, opts: opts}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(in.source, 32<<10)
	in.plain = br
	magic, err := br.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		in.zipped = true
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, in.diagnose(err)
		}
		in.plain = zr
	}
	return in, nil
}

func (in *input) Read(p []byte) (int, error) {
	if err := in.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := in.plain.Read(p)
	in.total += int64(n)
	switch {
	case in.total > in.opts.MaxTotal:
		return 0, errTotal
	case in.zipped && in.total > expansionAllowance+in.source.read*int64(in.opts.MaxExpansion):
		return 0, errExpansion
	}
	return n, in.diagnose(err)
}

// diagnose separates damaged gzip from a failing source.
func (in *input) diagnose(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil || in.source.err != nil || !in.zipped:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return errGzip
	}
	return err
}
