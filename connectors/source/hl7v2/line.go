package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	frameStart    = 0x0b // begins an MLLP frame
	frameEnd      = 0x1c // ends it, followed by a CR
	byteOrderMark = "\xef\xbb\xbf"
	headerLength  = 12 // bytes that hold a byte order mark, MSH and the delimiters
)

// line is one line of an input.
type line struct {
	text   []byte // until the next call, without its end and without framing
	end    byte   // CR or LF; LF too if the line was the last
	number int    // from 1
	over   bool   // too long; text is its beginning
	start  bool   // an MLLP frame begins with it
	stop   bool   // an MLLP frame ends with it
	framed bool   // inside a frame
}

// lineReader cuts an input at CR, LF and the bytes of MLLP. CRLF is one end.
type lineReader struct {
	br     *bufio.Reader
	line   int // of the next byte
	buf    []byte
	framed bool
	skipLF bool // the last line ended with CR
}

// stops are the bytes at which a line is cut.
const stops = "\r\n\x0b\x1c"

// next returns the next line, which may be empty. With the error it returns what was
// read before it.
func (r *lineReader) next(limit int) (line, error) {
	l := line{number: r.line, end: '\n'}
	r.buf = r.buf[:0]
	for {
		if _, err := r.br.Peek(1); err != nil {
			l.framed = r.framed
			r.finish(&l)
			if errors.Is(err, io.EOF) {
				err = io.EOF
			}
			return l, err
		}
		chunk, _ := r.br.Peek(r.br.Buffered())
		skip := r.skipLF && chunk[0] == '\n'
		r.skipLF = false
		if skip {
			_, _ = r.br.Discard(1)
			continue
		}
		at := bytes.IndexAny(chunk, stops)
		if at < 0 {
			r.take(&l, chunk, limit)
			continue
		}
		if chunk[at] == frameStart && (at > 0 || len(r.buf) > 0 || l.over) {
			r.take(&l, chunk[:at], limit) // it begins the next line
			l.framed = r.framed
			r.finish(&l)
			return l, nil
		}
		stop := chunk[at]
		r.take(&l, chunk[:at], limit)
		_, _ = r.br.Discard(1)
		switch stop {
		case frameStart:
			l.start, r.framed = true, true
			continue
		case frameEnd:
			l.stop, r.framed = true, false
		default:
			l.end, r.skipLF = stop, stop == '\r'
			r.line++
			l.framed = r.framed
		}
		r.finish(&l)
		return l, nil
	}
}

// take consumes chunk. Of a line over the limit it keeps what tells a header.
func (r *lineReader) take(l *line, chunk []byte, limit int) {
	if l.over = l.over || len(r.buf)+len(chunk) > limit; l.over {
		r.buf = append(r.buf, chunk[:min(len(chunk), headerLength)]...)
		r.buf = r.buf[:min(len(r.buf), headerLength)]
	} else {
		r.buf = append(r.buf, chunk...)
	}
	_, _ = r.br.Discard(len(chunk))
}

func (r *lineReader) finish(l *line) { l.text = bytes.TrimPrefix(r.buf, []byte(byteOrderMark)) }

// envelopeOf is the name of a line that begins a message or belongs to a batch or
// file around it, else empty.
func envelopeOf(text []byte) string {
	if len(text) < 3 || len(text) > 3 && alphanumeric(text[3]) {
		return ""
	}
	switch name := string(text[:3]); name {
	case "MSH", "FHS", "BHS", "BTS", "FTS":
		return name
	}
	return ""
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
