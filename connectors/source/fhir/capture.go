package fhir

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
	var stack []byte
	inString := false
	for {
		c, err := r.next()
		if err != nil {
			return err
		}
		switch {
		case inString:
			if inString, err = r.inString(s, c); err != nil {
				return err
			}
			if inString || len(stack) > 0 {
				continue
			}
			return nil
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if len(stack) == maxBrackets {
				return r.tooDeep()
			}
			stack = append(stack, c+2) // '}' and ']' follow '{' and '[' by two
		case c == '}' || c == ']':
			if len(stack) == 0 || stack[len(stack)-1] != c {
				return r.br.UnreadByte()
			}
			stack = stack[:len(stack)-1]
			s.add(c)
			if len(stack) == 0 {
				return nil
			}
			continue
		case len(stack) == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			r.unread(c)
			return nil
		}
		s.add(c)
	}
}

// inString adds c, a byte inside a string, and returns whether the string goes
// on. A newline ends it: JSON has none there, so the closing quote was lost.
func (r *reader) inString(s *sink, c byte) (bool, error) {
	s.add(c)
	switch c {
	case '"', '\n':
		return false, nil
	case '\\':
		c, err := r.next()
		s.add(c)
		return true, err
	}
	return true, nil
}

func (r *reader) unread(c byte) {
	_ = r.br.UnreadByte() // cannot fail: c was just read
	if c == '\n' {
		r.line--
	}
}

func (r *reader) tooDeep() error {
	if err := r.report(&Problem{Rule: RuleTooDeep, Line: r.line, Detail: "brackets nested too deep to follow"}); err != nil {
		return err
	}
	return errBroken
}
