package fhir

import "bytes"

// maxBrackets is how deep a document is followed. Beyond it nothing is worth recovering.
const maxBrackets = 10_000

// sink collects bytes up to a limit and drops the rest.
type sink struct {
	buf   []byte
	limit int
	over  bool
}

func (s *sink) add(c byte) {
	if len(s.buf) >= s.limit {
		s.over = true
		return
	}
	s.buf = append(s.buf, c)
}

func (s *sink) addAll(b []byte) {
	if room := s.limit - len(s.buf); len(b) > room {
		b, s.over = b[:room], true
	}
	s.buf = append(s.buf, b...)
}

// next reads one byte and counts lines.
func (r *reader) next() (byte, error) {
	c, err := r.br.ReadByte()
	if c == '\n' {
		r.line++
	}
	return c, err
}

// take consumes a byte that space has already shown to be there.
func (r *reader) take() byte {
	c, _ := r.next()
	return c
}

// space skips whitespace, adding it to s, and returns the byte ahead.
func (r *reader) space(s *sink) (byte, error) {
	for {
		c, err := r.next()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\n', '\r':
			if s != nil {
				s.add(c)
			}
		default:
			return c, r.br.UnreadByte()
		}
	}
}

// capture adds the value ahead to s. It follows brackets and strings
// only. A closing bracket that does not match ends the value and stays ahead.
func (r *reader) capture(s *sink) error {
	var f follower
	for {
		if _, err := r.br.Peek(1); err != nil {
			return err
		}
		chunk, err := r.br.Peek(r.br.Buffered())
		if err != nil {
			return err
		}
		n, done := f.follow(chunk)
		s.addAll(chunk[:n])
		r.line += bytes.Count(chunk[:n], []byte{'\n'})
		if _, err := r.br.Discard(n); err != nil {
			return err
		}
		if len(f.stack) > maxBrackets {
			return r.tooDeep()
		}
		if done {
			return nil
		}
	}
}

// follower finds the end of one value, chunk by chunk.
type follower struct {
	stack             []byte // closing brackets that are due
	inString, escaped bool
}

// follow returns how many bytes of chunk belong to the value, and whether it ends there.
func (f *follower) follow(chunk []byte) (n int, done bool) {
	for i := 0; i < len(chunk); i++ {
		if f.inString {
			i = f.skipString(chunk, i)
			if i < len(chunk) && !f.inString && len(f.stack) == 0 {
				return i + 1, true
			}
			continue
		}
		switch c := chunk[i]; c {
		case '"':
			f.inString = true
		case '{', '[':
			f.stack = append(f.stack, c+2) // '}' and ']' follow '{' and '[' by two
			if len(f.stack) > maxBrackets {
				return i, true
			}
		case '}', ']':
			if len(f.stack) == 0 || f.stack[len(f.stack)-1] != c {
				return i, true
			}
			if f.stack = f.stack[:len(f.stack)-1]; len(f.stack) == 0 {
				return i + 1, true
			}
		case ',', ' ', '\t', '\r', '\n':
			if len(f.stack) == 0 {
				return i, true
			}
			for i+1 < len(chunk) && chunk[i+1] == ' ' {
				i++ // indentation
			}
		}
	}
	return len(chunk), false
}

// skipString returns the index of the byte that ends the string, or the chunk's
// length. A newline ends it: JSON has none there, so the closing quote was lost.
func (f *follower) skipString(chunk []byte, i int) int {
	escaped := f.escaped
	for ; i < len(chunk); i++ {
		switch c := chunk[i]; {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"', c == '\n':
			f.inString, f.escaped = false, false
			return i
		}
	}
	f.escaped = escaped
	return i
}

func (r *reader) tooDeep() error {
	if err := r.report(&Problem{Rule: RuleTooDeep, Line: r.line, Detail: "brackets nested too deep to follow"}); err != nil {
		return err
	}
	return errBroken
}
