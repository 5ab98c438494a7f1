package cdm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const (
	// defaultRow is how many bytes a row may have if Options do not say it.
	defaultRow = 1 << 20
	// maxHeader bounds the first line in bytes.
	maxHeader = 64 << 10
)

var (
	errStopped = errors.New("cdm: stopped") // ends a read whose caller has had enough
	errRow     = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a row is over the limit; a quote may not be closed"}
)

// Read yields the rows of one table, in order. Line is that on which the row begins;
// the record's Type is the table's name.
//
// The error is a [*fhir.Problem] if a row, a column or the rest of a damaged input
// could not be used; the Record is then empty and iteration goes on. Any other error
// (ctx ended, src failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		r := &reader{yield: yield, keys: newKeys(maxWords), line: 1}
		in, err := fhir.OpenInput(ctx, src, opts)
		if err == nil {
			r.bounded = &bounded{src: in, most: cmp.Or(opts.MaxRecord, defaultRow)}
			err = r.all()
		}
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		var problem *fhir.Problem
		if errors.As(err, &problem) {
			yield(fhir.Record{}, onLine(problem, r.line))
		} else if problem, ok := fhir.InputProblem(err, r.line); ok {
			yield(fhir.Record{}, problem)
		} else {
			yield(fhir.Record{}, fmt.Errorf("cdm: read input near line %d: %w", r.line, err))
		}
	}
}

// onLine is p with the line on which it came.
func onLine(p *fhir.Problem, line int) *fhir.Problem {
	return &fhir.Problem{Rule: p.Rule, Line: line, Path: p.Path, Detail: p.Detail}
}

// bounded ends the input when more than most bytes come without a call of renew.
type bounded struct {
	src        io.Reader
	most, left int
}

func (b *bounded) renew() { b.left = b.most }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRow
	}
	n, err := b.src.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

type reader struct {
	*bounded
	*header
	rows  rows
	keys  *keys
	full  bool
	line  int
	yield func(fhir.Record, error) bool
}

func (r *reader) all() error {
	r.renew()
	br := bufio.NewReaderSize(r.bounded, maxHeader)
	head, err := br.Peek(maxHeader)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return err
	}
	if strings.HasPrefix(string(head[:min(len(head), 3)]), byteOrderMark) {
		_, _ = br.Discard(len(byteOrderMark))
	}
	names, separator, ok := headerOf(head)
	if ok {
		r.header = recognize(names)
	}
	if r.header == nil {
		return &fhir.Problem{Rule: fhir.RuleMissingField, Detail: "the first line has not the columns of a table of the CDM"}
	}
	for i, column := range r.at {
		if column < 0 && r.table.Kind == Stored {
			if err := r.report(&fhir.Problem{Rule: RuleUnknownColumn, Line: 1, Path: "column[" + strconv.Itoa(i+1) + "]", Detail: r.table.Name + " has no such column"}); err != nil {
				return err
			}
		}
	}
	r.rows = newRows(br, separator)
	if _, err := r.rows.Read(); err != nil {
		return err
	}
	return r.each()
}

// each yields the rows behind the header.
func (r *reader) each() error {
	for {
		r.renew()
		fields, err := r.rows.Read()
		problem, bad := fhir.AsProblem(err)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case bad && problem.Rule == RuleMalformedRow:
			r.line = r.rows.Line()
			if err := r.report(onLine(problem, r.line)); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		r.line = r.rows.Line()
		if refused := refusal(r.table); refused != nil {
			return refused
		}
		row, problem := r.row(fields)
		if problem != nil {
			err = r.report(onLine(problem, r.line))
		} else if !r.yield(fhir.Record{Type: r.table.Name, Line: r.line, Resource: row}, nil) {
			err = errStopped
		}
		if err != nil {
			return err
		}
	}
}

// refusal says why no row of a table is read, nil if they are.
func refusal(t *Table) *fhir.Problem {
	switch t.Kind {
	case Stored:
		return nil
	case Vocabulary:
		return &fhir.Problem{Rule: RuleTableVocabulary, Path: t.Name, Detail: "load it with trialmesh node vocabulary"}
	case Derived:
		return &fhir.Problem{Rule: RuleTableDerived, Path: t.Name, Detail: "it follows from the tables of events, which are read"}
	}
	return &fhir.Problem{Rule: RuleTableOther, Path: t.Name, Detail: "this version has no place for its rows"}
}

// report yields a problem and returns errStopped if the caller wants no more.
func (r *reader) report(p *fhir.Problem) error {
	if !r.yield(fhir.Record{}, p) {
		return errStopped
	}
	return nil
}

// row reads the values of one row.
func (r *reader) row(fields []string) (*Row, *fhir.Problem) {
	if len(fields) != len(r.at) {
		return nil, &fhir.Problem{Rule: RuleColumnCount, Detail: fmt.Sprintf("want %d values, as in the header", len(r.at))}
	}
	row := &Row{Table: r.table, values: make([]value, len(r.table.Columns))}
	for i, s := range fields {
		column := r.at[i]
		if column < 0 {
			continue
		}
		c := &r.table.Columns[column]
		if c.format != text {
			s = strings.TrimSpace(s)
		}
		if isNull(s, c.format) {
			continue
		}
		v, ok := c.format.parse(s)
		switch {
		case ok:
			row.values[column] = v
		case c.needed:
			return nil, &fhir.Problem{Rule: fhir.RuleWrongType, Path: c.Name, Detail: wanted[c.format]}
		default:
			row.Defects = append(row.Defects, Defect{WrongType, c.Name})
		}
		if c.format == text {
			for _, rule := range faultsOf(s, c.width) {
				row.Defects = append(row.Defects, Defect{rule, c.Name})
			}
		}
	}
	for i := range r.table.Columns {
		switch c := &r.table.Columns[i]; {
		case row.values[i].set:
		case c.needed:
			return nil, &fhir.Problem{Rule: fhir.RuleMissingField, Path: c.Name}
		case c.Required:
			row.Defects = append(row.Defects, Defect{RequiredEmpty, c.Name})
		}
	}
	return r.once(row)
}

var wanted = map[format]string{whole: "want an integer of 64 bits", number: "want a number", day: "want YYYY-MM-DD", moment: "want YYYY-MM-DD hh:mm:ss"}

// once refuses a row whose key came before.
func (r *reader) once(row *Row) (*Row, *fhir.Problem) {
	known, full := r.keys.add(row.values[0].bits)
	if known {
		return nil, &fhir.Problem{Rule: RuleDuplicateKey, Path: r.table.Columns[0].Name, Detail: "the first row with the key counts"}
	}
	if full && !r.full {
		r.full = true
		row.Defects = append(row.Defects, Defect{KeysUnchecked, r.table.Columns[0].Name})
	}
	return row, nil
}
