package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Options are the limits of one [Read]. The zero value takes the defaults.
type Options struct {
	// Limits are those of the input. MaxRecord is the size of one row in bytes, 1 MiB by
	// default. MaxTracked is how many rows' keys are remembered to find repeated rows,
	// 1,000,000 by default and about 80 bytes each. MaxDepth has no meaning here.
	Limits fhir.Options

	// MaxCell is the size of one cell in bytes. Defaults to 64 KiB.
	MaxCell int

	// MaxColumns is how many cells a row may have. Defaults to 4,096.
	MaxColumns int

	// Tally takes what is counted besides. It may be nil.
	Tally *Tally
}

func (o Options) withDefaults() Options {
	o.Limits.MaxRecord = cmp.Or(max(o.Limits.MaxRecord, 0), 1<<20)
	o.Limits.MaxTracked = cmp.Or(max(o.Limits.MaxTracked, 0), 1_000_000)
	o.MaxCell = cmp.Or(max(o.MaxCell, 0), 64<<10)
	o.MaxColumns = cmp.Or(max(o.MaxColumns, 0), maxNamed)
	if o.Tally == nil {
		o.Tally = &Tally{}
	}
	return o
}

// errStopped ends a read whose caller has had enough.
var errStopped = errors.New("table: stopped")

// Typed is a table whose header and numbers are known as such and need not be told from
// text: a Parquet file. Its text is UTF-8, with commas.
type Typed interface {
	io.Reader

	// Header returns the header as a line of CSV, and its Read gives it first.
	Header() []byte

	// Decimal sets what stands before the decimals of its numbers.
	Decimal(sign byte)
}

// Read yields the records that the rows of src make by the mapping, in their order. src is
// plain or gzip, UTF-8, UTF-16 with a byte order mark, or what the mapping says; or [Typed].
//
// A record's Line is the line of the file on which its row begins; its Path is that line
// and, of a wide table, the column ("line 17 bili"), as rows in the store are found by it.
//
// The error is a [*fhir.Problem] if a cell, a row or the rest of a damaged input could not
// be used; its Path is a column's name. The Record is then empty and iteration goes on. Any
// other error (ctx ended, src failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, m *Mapping, opts Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		r := &reader{m: m, opts: opts.withDefaults(), yield: yield}
		err := r.open(ctx, src)
		if err == nil {
			err = r.all()
		}
		r.finish(err)
	}
}

type reader struct {
	m     *Mapping
	opts  Options
	rows  lexer
	first int // line of the header, 0 if there is none
	seen  keys
	conv  converter
	yield func(fhir.Record, error) bool
}

// open finds out how the table is written.
func (r *reader) open(ctx context.Context, src io.Reader) error {
	in, err := fhir.OpenInput(ctx, src, r.opts.Limits)
	if err != nil {
		return err
	}
	typed, _ := src.(Typed)
	br, err := decoded(in, r.m.latin && typed == nil)
	if err != nil {
		return err
	}
	if typed != nil {
		if !r.m.header {
			return cmp.Or(r.report(&fhir.Problem{Rule: RuleWrongHeader, Line: 1, Detail: "the table has a header, and the mapping is for one without; take out header: false"}), errStopped)
		}
		if r.m.comma {
			typed.Decimal(',')
		}
	}
	head, err := peek(br)
	if err != nil {
		return err
	}
	layout, problem := r.m.layout(head)
	if problem != nil {
		return cmp.Or(r.report(problem), errStopped)
	}
	for _, name := range layout.cleaned {
		r.opts.Tally.clean(name)
	}
	r.rows = lexer{
		br: br, delimiter: layout.delimiter, line: 1,
		maxRow: r.opts.Limits.MaxRecord, maxCell: r.opts.MaxCell, maxColumns: max(r.opts.MaxColumns, layout.width),
	}
	if r.m.header {
		r.first = layout.before + 1
	}
	r.seen = newKeys(r.opts.Limits.MaxTracked)
	r.conv = converter{m: r.m, at: layout.at, width: layout.width, narrow: layout.narrow, tally: r.opts.Tally, emit: r.emit}
	return nil
}

// all reads the rows behind the header.
func (r *reader) all() error {
	for {
		row, problem, err := r.rows.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case problem != nil:
			err = r.refuse(problem)
		case row.line <= r.first || blank(row) || row.line == 1 && separatorLine(row.text):
			continue
		default:
			err = r.read(row)
		}
		if err != nil {
			return err
		}
	}
}

// blank reports whether all cells of a row are empty.
func blank(row *row) bool {
	for _, c := range row.cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

// read yields what one row says.
func (r *reader) read(row *row) error {
	c := &r.conv
	for len(row.cells) > c.width && row.cells[len(row.cells)-1] == "" {
		row.cells = row.cells[:len(row.cells)-1] // a delimiter at the end of rows
	}
	switch {
	case len(row.cells) < c.narrow || len(row.cells) > c.width:
		return r.refuse(&fhir.Problem{Rule: RuleRaggedRow, Line: row.line, Detail: "it has not as many cells as the header"})
	case !utf8.ValidString(row.text):
		return r.refuse(&fhir.Problem{Rule: fhir.RuleInvalidUTF8, Line: row.line, Detail: "the row is not UTF-8; save it as such or set encoding"})
	case strings.IndexByte(row.text, 0) >= 0:
		return r.refuse(&fhir.Problem{Rule: fhir.RuleForbiddenCharacter, Line: row.line, Detail: "U+0000"})
	}
	if !c.begin(row) {
		r.opts.Tally.Rows++
		r.opts.Tally.unused(reasonWhen)
		return nil
	}
	known, same := r.seen.add(c, row.text)
	r.opts.Tally.Untracked = r.seen.untracked
	problem := c.patient()
	switch {
	case same:
		problem = &fhir.Problem{Rule: RuleRepeatedRow, Line: row.line, Path: c.keyNames(), Detail: "the same row came before"}
	case problem == nil && known:
		problem = &fhir.Problem{
			Rule: RuleRepeatedKey, Line: row.line, Path: c.keyNames(),
			Detail: "another row with the same key came before; key: names the columns that tell rows apart",
		}
	}
	if problem != nil {
		return r.refuse(problem)
	}
	err := c.convert()
	r.opts.Tally.Rows++
	if c.made {
		r.opts.Tally.Used++
	} else {
		r.opts.Tally.unused(c.reason)
	}
	return err
}

// refuse reports the problem of a whole row.
func (r *reader) refuse(p *fhir.Problem) error {
	r.opts.Tally.Rows++
	r.opts.Tally.Skipped++
	return r.report(p)
}

// report yields a problem and returns errStopped if the caller wants no more.
func (r *reader) report(p *fhir.Problem) error {
	if !r.yield(fhir.Record{}, p) {
		return errStopped
	}
	return nil
}

// emit yields a record, or the problem that it has.
func (r *reader) emit(rec fhir.Record, p *fhir.Problem) error {
	if p != nil {
		return r.report(p)
	}
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
	line := max(r.rows.line, 1)
	p, ok := fhir.InputProblem(err, line)
	if !ok {
		if p, ok = fhir.AsProblem(err); ok { // of a typed table
			p = &fhir.Problem{Rule: p.Rule, Line: line, Path: p.Path, Detail: p.Detail}
		}
	}
	if ok {
		r.yield(fhir.Record{}, p)
		return
	}
	r.yield(fhir.Record{}, fmt.Errorf("table: read input near line %d: %w", line, err))
}
