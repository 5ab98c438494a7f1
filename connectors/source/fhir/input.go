package fhir

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
)

// What can be wrong with an input as a whole. InputProblem turns these into problems.
var (
	errTruncated = errors.New("fhir: input ends early")
	errTotal     = errors.New("fhir: input over the total limit")
	errExpansion = errors.New("fhir: gzip expansion over the limit")
	errGzip      = errors.New("fhir: damaged gzip")
)

// expansionAllowance is what a gzip input may become before its ratio counts.
const expansionAllowance = 1 << 20

// Input yields the uncompressed bytes of a source, plain or gzip, and enforces
// MaxTotal and MaxExpansion of [Options].
type Input struct {
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

// OpenInput returns the input that src holds, for as long as ctx lives.
func OpenInput(ctx context.Context, src io.Reader, opts Options) (*Input, error) {
	in := &Input{ctx: ctx, source: &source{Reader: src}, opts: opts.withDefaults()}
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

// Read implements [io.Reader]. [InputProblem] says what its errors mean.
func (in *Input) Read(p []byte) (int, error) {
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
func (in *Input) diagnose(err error) error {
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

// InputProblem returns the Problem that an error of an [Input] amounts to, and false
// if it is no fault of the data. line is where reading stopped.
func InputProblem(err error, line int) (*Problem, bool) {
	p := &Problem{Line: line}
	switch {
	case errors.Is(err, errTruncated), errors.Is(err, io.EOF):
		p.Rule, p.Detail = RuleTruncated, "the input ends early"
	case errors.Is(err, errTotal):
		p.Rule, p.Detail = RuleTooLarge, "the input is over the total limit"
	case errors.Is(err, errExpansion):
		p.Rule, p.Detail = RuleGzipExpansion, "gzip expands beyond the limit"
	case errors.Is(err, errGzip):
		p.Rule, p.Detail = RuleCorruptGzip, "the rest cannot be decompressed"
	default:
		return nil, false
	}
	return p, true
}
