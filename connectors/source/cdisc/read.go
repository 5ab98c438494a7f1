package cdisc

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Read yields what the rows of the data sets in src say, in their order. src is plain, gzip
// or, of Dataset-JSON, zlib, and one of the formats that [Detect] and [DetectTable] know.
//
// A record's Line is the line of a CSV or NDJSON file, else the number of the row; its Path
// is the data set's name and the number of the row ("LB row 17"), by which rows of the store
// are found. A record without a Resource is of a data set that is counted only; its Type is
// the data set's name.
//
// Of opts, MaxRecord is the size of one row in bytes (and of the description of the
// variables in Dataset-JSON), 4 MiB by default, and MaxTracked how many rows' keys are
// remembered to find repeated rows, 1,000,000 by default and about 80 bytes each. MaxDepth has
// no meaning here.
//
// The error is a [*fhir.Problem] if a value, a row or the rest of a damaged input could not
// be used; its Path is a variable's name. The Record is then empty and iteration goes on. Any
// other error (ctx ended, src failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		opts.MaxRecord = cmp.Or(max(opts.MaxRecord, 0), 4<<20)
		opts.MaxTracked = cmp.Or(max(opts.MaxTracked, 0), 1_000_000)
		r := &reader{opts: opts, seen: newKeys(opts.MaxTracked), yield: yield}
		r.finish(r.open(ctx, src))
	}
}

// errStopped ends a read whose caller has had enough.
var errStopped = errors.New("cdisc: stopped")

// table is a data set as it is described before its rows.
type table struct {
	name    string   // as the file says, else as its variables do
	columns []string // names of the variables, in capitals
	text    bool     // all values are texts: a CSV file, in which 0 may stand for nothing
}

type reader struct {
	opts  fhir.Options
	seen  keys
	conv  converter
	skip  bool // the rows of a data set that is none of CDISC's
	yield func(fhir.Record, error) bool
}

// open finds out which format src has and reads it.
func (r *reader) open(ctx context.Context, src io.Reader) error {
	in, err := fhir.OpenInput(ctx, src, r.opts)
	if err != nil {
		return err
	}
	br, err := inflate(bufio.NewReaderSize(in, 64<<10), r.opts)
	if err != nil {
		return err
	}
	head, err := br.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch containerOf(head) {
	case xportFile:
		return r.xport(br)
	case cportFile:
		return &fhir.Problem{Rule: RuleUnsupportedVersion, Line: 1, Detail: "a file of PROC CPORT; write it with the XPORT engine, or as Dataset-JSON"}
	case jsonFile:
		return r.json(br)
	case defineFile:
		return r.deliver(fhir.Record{Type: "define.xml", Line: 1})
	}
	return r.csv(br)
}

// begin begins a data set. One that is none of CDISC's is a problem, and its rows are not
// read: a library may have others.
func (r *reader) begin(t table) error {
	c := &r.conv
	c.begin(t)
	r.skip = !c.has("STUDYID") || !c.has("DOMAIN") && !c.has("RDOMAIN") && !c.has("USUBJID")
	if r.skip {
		return r.report(&fhir.Problem{Rule: RuleNotCDISC, Line: 1, Detail: "the data set has not the variables STUDYID and DOMAIN, RDOMAIN or USUBJID"})
	}
	return nil
}

// row takes a row of the data set that was begun: the bytes of its values, of which cells
// holds them until it returns. number counts from 1.
func (r *reader) row(line, number int, cells []string) error {
	c := &r.conv
	if r.skip {
		return nil
	}
	if len(cells) != len(c.table.columns) {
		return r.report(&fhir.Problem{Rule: RuleRaggedRow, Line: line, Detail: "it has not as many values as there are variables"})
	}
	c.start(line, number, cells)
	problem := c.identify()
	if again := r.repeated(); again != nil && (problem == nil || again.Rule == RuleRepeatedRow) {
		problem = again // also of a fragment without a subject
	}
	if problem != nil {
		return r.report(problem)
	}
	rec, problem := c.convert()
	if problem != nil {
		return r.report(problem)
	}
	return r.deliver(rec)
}

// repeated finds a row that came before, or another one with its key.
func (r *reader) repeated() *fhir.Problem {
	c := &r.conv
	key, names := c.key()
	switch known, same := r.seen.add(key, c.cells); {
	case same:
		return &fhir.Problem{Rule: RuleRepeatedRow, Line: c.line, Path: names, Detail: "the same row came before"}
	case known:
		return &fhir.Problem{Rule: RuleRepeatedKey, Line: c.line, Path: names, Detail: "another row with the same key came before"}
	}
	return nil
}

// report yields a problem and returns errStopped if the caller wants no more.
func (r *reader) report(p *fhir.Problem) error {
	if !r.yield(fhir.Record{}, p) {
		return errStopped
	}
	return nil
}

func (r *reader) deliver(rec fhir.Record) error {
	if !r.yield(rec, nil) {
		return errStopped
	}
	return nil
}

// finish yields the problem that err amounts to, or err itself.
func (r *reader) finish(err error) {
	if err == nil || errors.Is(err, errStopped) {
		return
	}
	line := max(r.conv.line, 1)
	if p, ok := fhir.AsProblem(err); ok {
		at := *p
		at.Line = cmp.Or(at.Line, line)
		r.yield(fhir.Record{}, &at)
		return
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if p, ok := fhir.InputProblem(err, line); ok {
		r.yield(fhir.Record{}, p)
		return
	}
	r.yield(fhir.Record{}, fmt.Errorf("cdisc: read input near row %d: %w", line, err))
}
