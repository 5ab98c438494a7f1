package fhir

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Options are the limits of one [Read]. The zero value takes the defaults.
type Options struct {
	// MaxRecord is the size of one resource, bundle entry or NDJSON line in
	// bytes, uncompressed. Defaults to 16 MiB.
	MaxRecord int

	// MaxTotal is the size of the whole input in bytes, uncompressed.
	// Defaults to 64 GiB.
	MaxTotal int64

	// MaxDepth is how deep a record's objects and arrays may nest, the record
	// itself being 1. Defaults to 64.
	MaxDepth int

	// MaxExpansion is how many bytes one byte of gzip may become, after the
	// first MiB. Defaults to 200; Synthea's bundles have 20.
	MaxExpansion int

	// MaxTracked is how many fullUrls of one bundle are remembered, about 200
	// bytes each, to resolve urn: references. Defaults to 1,000,000.
	MaxTracked int
}

func (o Options) withDefaults() Options {
	if o.MaxRecord <= 0 {
		o.MaxRecord = 16 << 20
	}
	if o.MaxTotal <= 0 {
		o.MaxTotal = 64 << 30
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = 64
	}
	if o.MaxExpansion <= 0 {
		o.MaxExpansion = 200
	}
	if o.MaxTracked <= 0 {
		o.MaxTracked = 1_000_000
	}
	return o
}

// Record is one resource as it came.
type Record struct {
	private

	Type string // resourceType
	ID   string // id, else the uuid of FullURL; may be empty if Resource is nil

	FullURL string // of the bundle entry, if any
	Line    int    // on which the entry or resource begins, from 1
	Path    string // such as entry[17].resource; empty outside a bundle

	Raw      []byte   // the resource's bytes, unchanged; the caller's to keep
	Resource Resource // nil if this package does not decode Type
}

// Read yields the resources of src in order, whether it is a Bundle, NDJSON or a
// single resource, plain or gzip. In a bundle, a record that refers by urn: to a later
// entry follows that entry, so that its references are resolved.
//
// The error is a [*Problem] if one record, or the rest of a damaged input, could not be
// used; the Record is then empty and iteration goes on. Any other error (ctx ended, src
// failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts Options) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		opts := opts.withDefaults()
		r := &reader{opts: opts, line: 1, yield: yield}
		var err error
		if r.in, err = OpenInput(ctx, src, opts); err == nil {
			r.br = bufio.NewReaderSize(r.in, 64<<10)
			err = r.all()
		}
		if err != nil && !errors.Is(err, errStopped) && !errors.Is(err, errBroken) {
			r.finish(err)
		}
	}
}

// errStopped ends a read whose caller has had enough.
var errStopped = errors.New("fhir: stopped")

type reader struct {
	opts  Options
	in    *Input
	br    *bufio.Reader
	line  int // of the next byte
	tree  tree
	yield func(Record, error) bool
}

func (r *reader) all() error {
	if bom, _ := r.br.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = r.br.Discard(3)
	}
	head, err := r.br.Peek(r.br.Size())
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return err
	}
	if detect(head) == formatLines {
		return r.lines()
	}
	return r.document()
}

// finish yields the Problem that err amounts to, or err itself.
func (r *reader) finish(err error) {
	if p, ok := InputProblem(err, r.line); ok {
		r.yield(Record{}, p)
		return
	}
	r.yield(Record{}, fmt.Errorf("fhir: read input near line %d: %w", r.line, err))
}

// report yields a problem and returns errStopped if the caller wants no more.
func (r *reader) report(p *Problem) error {
	if !r.yield(Record{}, p) {
		return errStopped
	}
	return nil
}

func (r *reader) deliver(rec Record) error {
	if !r.yield(rec, nil) {
		return errStopped
	}
	return nil
}

// give reports the problem if there is one, else delivers the record.
func (r *reader) give(rec Record, p *Problem) error {
	if p != nil {
		return r.report(p)
	}
	return r.deliver(rec)
}

// resource decodes the parsed object at. It is called after a clean parse.
func (r *reader) resource(at, line int, base, fullURL string) (Record, *Problem) {
	t := &r.tree
	if !t.is(at, kindObject) {
		return Record{}, t.problem(line, base)
	}
	rec := Record{FullURL: fullURL, Line: line, Path: joinPath(base, t.path(at))}
	rec.Type, rec.ID = t.required(at, "resourceType"), t.str(at, "id")
	if t.fault == nil && !isTypeName(rec.Type) {
		t.fail(RuleUnknownResource, t.member(at, "resourceType"), "not the name of a resource type")
	}
	if rec.ID == "" {
		rec.ID, _ = strings.CutPrefix(fullURL, "urn:uuid:")
		if rec.ID == fullURL {
			rec.ID = ""
		}
	}
	if rec.ID != "" && !IsResourceID(rec.ID) {
		t.fail(RuleInvalidID, at, "want 1 to 64 letters, digits, - or .")
	}
	if decode := decoders[rec.Type]; decode != nil {
		if rec.ID == "" {
			t.missing(at, "id")
		}
		rec.Resource = decode(t, at, rec.ID)
	}
	if t.fault != nil {
		return Record{}, t.problem(line, base)
	}
	rec.Raw = bytes.Clone(t.raw[t.nodes[at].start:t.nodes[at].end])
	return rec, nil
}
