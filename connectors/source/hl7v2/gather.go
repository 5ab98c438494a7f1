package hl7v2

import (
	"errors"
	"io"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// reader gathers lines to messages.
type reader struct {
	opts  Options
	lines lineReader
	yield func(fhir.Record, error) bool

	outside  bool // text outside a message was reported
	messages int  // so far
	batch    int  // of them in the current batch
	size     int  // of the last one, as a guess at the next
	current  gathered
	message  message
	convert  converter
	handle   func(m *message, line int) error // takes a message that could be cut
}

// gathered are the lines of the message being read.
type gathered struct {
	open, over, framed bool
	line               int
	raw                []byte
	ends               []int // of the lines in raw, without their ends
	starts             []int
	carriage           bool // its header ended with CR, so that LF is text
	lastEnd            byte
}

// all reads to the end of the input.
func (r *reader) all() error {
	for {
		l, err := r.lines.next(r.opts.Limits.MaxRecord)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if problem := r.take(l); problem != nil {
			return problem
		}
		if err != nil {
			return r.last()
		}
	}
}

// take adds a line to the current message, or ends that.
func (r *reader) take(l line) error {
	g := &r.current
	if l.start { // perhaps without the end of the last frame
		if err := r.last(); err != nil {
			return err
		}
	}
	switch envelope := envelopeOf(l.text); {
	case len(l.text) == 0:
	case envelope == "MSH":
		if err := r.finish(); err != nil {
			return err
		}
		r.outside = false
		*g = gathered{open: true, framed: l.framed, line: l.number, carriage: l.end == '\r', starts: g.starts[:0], ends: g.ends[:0]}
		r.add(l)
	case envelope != "":
		if err := r.finish(); err != nil {
			return err
		}
		if err := r.envelope(envelope, l); err != nil {
			return err
		}
	case g.open:
		r.add(l)
	case !r.outside:
		r.outside = true
		if err := r.report(&fhir.Problem{Rule: RuleOutsideMessage, Line: l.number, Detail: "want MSH at the beginning of a message"}); err != nil {
			return err
		}
	}
	if l.stop {
		r.outside = false
		return r.finish()
	}
	return nil
}

// add keeps a line of the current message. Where CR ends segments, a line behind a
// lone LF is more text of the segment before.
func (r *reader) add(l line) {
	g := &r.current
	over := l.over || len(g.raw)+len(l.text)+1 > r.opts.Limits.MaxRecord || len(g.starts) >= r.opts.MaxFields
	if g.over = g.over || over; g.over {
		return
	}
	if g.raw == nil {
		g.raw = make([]byte, 0, len(l.text)+r.size)
	}
	continued := g.carriage && g.lastEnd == '\n' && len(g.ends) > 1 && !isSegmentName(l.text, g.raw[3])
	if len(g.raw) > 0 {
		g.raw = append(g.raw, g.lastEnd)
	}
	if !continued {
		g.starts = append(g.starts, len(g.raw))
		g.ends = append(g.ends, 0)
	}
	g.raw = append(g.raw, l.text...)
	g.ends[len(g.ends)-1] = len(g.raw)
	g.lastEnd = l.end
}

// finish converts the current message, if there is one.
func (r *reader) finish() error {
	g := &r.current
	if !g.open {
		return nil
	}
	g.open = false
	r.messages++
	r.batch++
	r.size = min(len(g.raw), 64<<10)
	if g.over {
		return r.report(&fhir.Problem{Rule: fhir.RuleTooLarge, Line: g.line, Path: messagePlace(r.messages, ""), Detail: "the message is over the record limit"})
	}
	lines := make([][]byte, len(g.starts))
	for i := range lines {
		lines[i] = g.raw[g.starts[i]:g.ends[i]:g.ends[i]]
	}
	fault := r.message.parse(lines, r.opts.Charset, r.opts.MaxFields)
	if fault == nil {
		r.message.raw = g.raw
		fault = r.message.check()
	}
	if fault != nil {
		return r.report(&fhir.Problem{Rule: fault.rule, Line: g.line, Path: messagePlace(r.messages, fault.at), Detail: fault.detail})
	}
	return r.handle(&r.message, g.line)
}

// check looks at the header of a message that could be cut.
func (m *message) check() *lexFault {
	if v := m.segments[0].field(12).at(1).text(); v != "" && (len(v) < 3 || v[:2] != "2." || v[2] < '1' || v[2] > '9') {
		return &lexFault{RuleUnsupportedVersion, "MSH[1].12", "want 2.1 to 2.9"}
	}
	return nil
}

// envelope reads a header or trailer of a batch or file.
func (r *reader) envelope(name string, l line) error {
	switch name {
	case "BHS":
		r.batch = 0
	case "BTS":
		came := r.batch
		r.batch = 0
		count, err := strconv.Atoi(string(bytesField(l.text, l.text[min(3, len(l.text)-1)], 1)))
		if err == nil && count != came {
			return r.report(&fhir.Problem{Rule: RuleBatchCount, Line: l.number, Detail: "the batch has another number of messages than its trailer says"})
		}
	}
	return nil
}

// last ends the input or the text before a frame. A message whose frame was not closed
// may have lost its end.
func (r *reader) last() error {
	if g := &r.current; g.open && g.framed {
		g.open = false
		r.messages++
		r.batch++
		return r.report(&fhir.Problem{Rule: fhir.RuleTruncated, Line: g.line, Path: messagePlace(r.messages, ""), Detail: "the frame has no end"})
	}
	return r.finish()
}
