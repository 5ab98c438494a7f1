package fhir

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines reads NDJSON. A bad line is a problem of that line only.
func (r *reader) lines() error {
	var buf []byte
	for {
		line, over, err := r.readLine(buf[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		buf = line
		if problem := r.oneLine(line, over); problem != nil {
			return problem
		}
		if err != nil {
			return nil
		}
		r.line++
	}
}

func (r *reader) oneLine(line []byte, over bool) error {
	if over {
		return r.report(&Problem{Rule: RuleTooLarge, Line: r.line, Detail: "the line is over the record limit"})
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	if line[0] == '{' && looksLikeBundle(line) {
		return r.bundleLine(line)
	}
	if r.tree.parse(line, r.opts.MaxDepth) != nil {
		return r.report(r.tree.problem(r.line, ""))
	}
	return r.give(r.resource(0, r.line, "", ""))
}

// bundleLine reads a whole Bundle that stands on one line.
func (r *reader) bundleLine(line []byte) error {
	inner := &reader{opts: r.opts, br: bufio.NewReader(bytes.NewReader(line)), line: r.line, yield: r.yield}
	err := inner.document()
	if errors.Is(err, io.EOF) {
		return r.report(&Problem{Rule: RuleTruncated, Line: r.line, Detail: "the line ends inside a bundle"})
	}
	if errors.Is(err, errBroken) {
		return nil
	}
	return err
}

// readLine appends the next line to buf, without its newline. Over the record
// limit it goes on to the line's end but keeps nothing more.
func (r *reader) readLine(buf []byte) (line []byte, over bool, err error) {
	for {
		part, err := r.br.ReadSlice('\n')
		part = bytes.TrimSuffix(part, []byte("\n"))
		if over = over || len(buf)+len(part) > r.opts.MaxRecord; !over {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, over, err
		}
	}
}
