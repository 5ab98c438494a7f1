package ccda

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errTag ends a document with a tag over maxTag.
var errTag = errors.New("ccda: tag over the limit")

// maxTag bounds one tag with its attributes, in bytes, as encoding/xml lists them all
// before anybody can count them.
const maxTag = 1 << 18

// recorder hands a document to encoding/xml byte by byte and keeps those of the piece
// being read, so that a record can hold what it was made of.
type recorder struct {
	br    *bufio.Reader
	limit int // bytes of one piece

	kept []byte
	base int64 // offset of kept[0]
	over bool  // the piece is larger than limit; kept has its beginning
	read int64
	last byte
	err  error // of the input, if it is no end

	state byte // 0 in text, '<' behind it, 't' in a tag, or the quote that a value began with
	tag   int  // bytes of the tag so far
}

// ReadByte implements [io.ByteReader].
func (r *recorder) ReadByte() (byte, error) {
	c, err := r.br.ReadByte()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			r.err = err
		}
		return 0, err
	}
	r.read++
	r.last = c
	if r.over = r.over || len(r.kept) >= r.limit; !r.over {
		r.kept = append(r.kept, c)
	}
	return c, r.measure(c)
}

// Read implements [io.Reader], which encoding/xml asks for and does not use.
func (r *recorder) Read(p []byte) (int, error) { return r.br.Read(p) }

// measure follows tags and the quotes in them. Markup that begins with an exclamation or
// question mark holds no attributes.
func (r *recorder) measure(c byte) error {
	switch r.state {
	case 0:
		if c == '<' {
			r.state, r.tag = '<', 0
		}
		return nil
	case '<':
		r.state = 't'
		if c == '!' || c == '?' {
			r.state = 0
		}
	case 't':
		switch c {
		case '>':
			r.state = 0
		case '"', '\'':
			r.state = c
		}
	default:
		if c == r.state {
			r.state = 't'
		}
	}
	if r.tag++; r.tag > maxTag {
		return errTag
	}
	return nil
}

// begin starts a piece at an offset: what has been read, or one byte before that, as
// encoding/xml reads the < behind a text to find its end.
func (r *recorder) begin(offset int64) {
	if cap(r.kept) > 1<<20 {
		r.kept = nil // one large piece does not set the size of all
	}
	r.kept, r.over, r.base = r.kept[:0], false, offset
	if r.read > offset {
		r.kept = append(r.kept, r.last)
	}
}

// between returns the bytes between two offsets of the piece; nil if it had more than the
// limit.
func (r *recorder) between(from, to int64) []byte {
	if r.over || from < r.base {
		return nil
	}
	return bytes.Clone(r.kept[from-r.base : to-r.base])
}
