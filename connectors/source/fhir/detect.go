package fhir

import "bytes"

type format uint8

const (
	formatDocument format = iota // one JSON object after another, over any number of lines
	formatLines                  // NDJSON: a newline always ends a record
)

// detect tells NDJSON from a document by the input's first bytes. The difference
// matters when a record is broken: lines recover at the next newline. An object that
// ends on its line means lines; a newline inside an object means a document, unless what
// follows can only be the next line's object.
func detect(head []byte) format {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 {
		return formatDocument
	}
	if head[0] != '{' {
		if _, rest, found := bytes.Cut(head, []byte("\n")); found && bytes.HasPrefix(rest, []byte("{")) {
			return formatLines
		}
		return formatDocument
	}
	end := bytes.IndexByte(head, '\n')
	if end < 0 {
		// The first line is longer than head, or the only one.
		if looksLikeBundle(head) {
			return formatDocument
		}
		return formatLines
	}
	first := bytes.TrimRight(head[:end], " \t\r")
	switch {
	case balanced(first):
		return formatLines
	case !bytes.HasPrefix(head[end+1:], []byte("{")):
		return formatDocument
	case bytes.HasSuffix(first, []byte("[")), bytes.HasSuffix(first, []byte(",")):
		return formatDocument // an array's elements, not indented
	}
	return formatLines
}

// balanced reports whether the object that line begins also ends on it.
func balanced(line []byte) bool {
	s := keyScan{anyType: true}
	s.run(line[1:])
	return s.done
}

// looksLikeBundle reports whether the object that head begins is a Bundle, or
// has an entry before its type is known.
func looksLikeBundle(head []byte) bool {
	var s keyScan
	s.run(head[1:])
	return s.resourceType == "Bundle" || s.entry && s.resourceType == ""
}

// keyScan looks for resourceType and entry among the members of an object
// whose inside it is given, without judging the syntax.
type keyScan struct {
	resourceType string
	entry        bool
	done         bool // the object's end was seen
	anyType      bool // go on to the end even when resourceType has been found
}

func (s *keyScan) run(b []byte) {
	depth, isKey := 0, true
	for i := 0; i < len(b) && (s.anyType || s.resourceType == ""); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				s.done = true
				return
			}
		case ',':
			isKey = isKey || depth == 0
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return
			}
			if depth == 0 && isKey {
				isKey = false
				s.key(b[i+1:end], b[end+1:])
			}
			i = end
		}
	}
}

// key notes the member called name; rest begins behind its closing quote.
func (s *keyScan) key(name, rest []byte) {
	switch string(name) {
	case "entry":
		s.entry = true
	case "resourceType":
		rest = bytes.TrimLeft(rest, " \t\r\n:")
		if len(rest) > 0 && rest[0] == '"' {
			if end := stringEnd(rest, 0); end > 0 {
				s.resourceType = string(rest[1:end])
			}
		}
	}
}

// stringEnd returns the index of the quote that closes the string at i, or -1.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}
