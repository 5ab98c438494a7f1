package hl7v2

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Options are the limits of one [Read]. The zero value takes the defaults.
type Options struct {
	// Limits are those of the input. MaxRecord is the size of one message in bytes, 16
	// MiB by default; MaxDepth and MaxTracked have no meaning here.
	Limits fhir.Options

	// MaxFields is how many fields all segments of one message may have together,
	// about 30,000 results. Each takes some 100 bytes. Defaults to 500,000.
	MaxFields int

	// Charset is the character set of messages that leave MSH-18 empty, named as HL7
	// table 0211 does. Defaults to UTF-8, which holds ASCII.
	Charset string
}

func (o Options) withDefaults() Options {
	if o.Limits.MaxRecord <= 0 {
		o.Limits.MaxRecord = 16 << 20
	}
	if o.MaxFields <= 0 {
		o.MaxFields = 500_000
	}
	return o
}

// errStopped ends a read whose caller has had enough.
var errStopped = errors.New("hl7v2: stopped")

// Read yields what the messages of src say, in order. The first record of each has
// Type MessageHeader and holds the message as it came. Line is that on which the
// message begins, counting CR, LF and CRLF as one end each.
//
// The error is a [*fhir.Problem] if a message, a segment or the rest of a damaged input
// could not be used; the Record is then empty and iteration goes on. Any other error
// (ctx ended, src failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		r := &reader{opts: opts.withDefaults(), yield: yield}
		r.handle = r.records
		in, err := fhir.OpenInput(ctx, src, opts.Limits)
		if err == nil {
			r.lines = lineReader{br: bufio.NewReaderSize(in, 64<<10), line: 1}
			err = r.all()
		}
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		line := max(r.lines.line, 1)
		if p, ok := fhir.InputProblem(err, line); ok {
			yield(fhir.Record{}, p)
			return
		}
		yield(fhir.Record{}, fmt.Errorf("hl7v2: read input near line %d: %w", line, err))
	}
}

// records yields what a message says.
func (r *reader) records(m *message, line int) error {
	stopped := false
	r.convert.emit = func(rec fhir.Record, p *fhir.Problem) {
		switch {
		case stopped:
		case p != nil:
			stopped = !r.yield(fhir.Record{}, p)
		default:
			stopped = !r.yield(rec, nil)
		}
	}
	r.convert.convert(m, r.messages, line)
	if stopped {
		return errStopped
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
