package fhir

import "bytes"

// kind is the JSON type of a node.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "boolean", "number", "string", "array", "object"}[k]
}

// none marks the absence of a node.
const none = -1

// node is one JSON value in a tree's flat list. Its children, if any, are
// linked from first through next.
type node struct {
	kind             kind
	escaped          bool // a string that holds a backslash
	keyStart, keyEnd int  // bytes of the key between its quotes; 0,0 in an array
	start, end       int  // bytes of the value, quotes included
	parent           int
	first, next      int
	index            int // position among siblings
}

// tree is one strictly parsed JSON value. Its nodes are reused by the next parse.
type tree struct {
	raw      []byte
	nodes    []node
	pos      int
	maxDepth int
	fault    *fault
}

// fault is what a parse or a decode found wrong, by node.
type fault struct {
	rule   Rule
	at     int // node
	detail string

	missing string // the absent member of at, if that is the fault
}

// parse reads raw as exactly one JSON value and reports the first fault.
func (t *tree) parse(raw []byte, maxDepth int) *fault {
	t.raw, t.nodes, t.pos, t.maxDepth, t.fault = raw, t.nodes[:0], 0, maxDepth, nil
	t.space()
	t.value(none, 0, 0, 0, 1)
	if t.fault == nil {
		if t.space(); t.pos < len(t.raw) {
			t.fail(RuleMalformedJSON, 0, "content after the value")
		}
	}
	return t.fault
}

func (t *tree) fail(rule Rule, at int, detail string) int {
	if t.fault == nil {
		t.fault = &fault{rule: rule, at: at, detail: detail}
	}
	return none
}

// syntax reports malformed JSON, or truncation where the input has ended.
func (t *tree) syntax(at int, detail string) int {
	if t.pos >= len(t.raw) {
		return t.fail(RuleTruncated, at, "ends inside a value")
	}
	return t.fail(RuleMalformedJSON, at, detail)
}

func (t *tree) space() {
	raw, pos := t.raw, t.pos
	for pos < len(raw) && (raw[pos] == ' ' || raw[pos] == '\n' || raw[pos] == '\t' || raw[pos] == '\r') {
		pos++
	}
	t.pos = pos
}

func (t *tree) peek() byte {
	if t.pos < len(t.raw) {
		return t.raw[t.pos]
	}
	return 0
}

// value parses one value and returns its node, or none after a fault.
func (t *tree) value(parent, keyStart, keyEnd, index, depth int) int {
	at := len(t.nodes)
	t.nodes = append(t.nodes, node{parent: parent, keyStart: keyStart, keyEnd: keyEnd, index: index, start: t.pos, first: none, next: none})
	if depth > t.maxDepth {
		return t.fail(RuleTooDeep, parent, "nested too deep")
	}
	var (
		k  kind
		ok bool
	)
	switch c := t.peek(); {
	case c == '{':
		k, ok = kindObject, t.object(at, depth)
	case c == '[':
		k, ok = kindArray, t.array(at, depth)
	case c == '"':
		k = kindString
		t.nodes[at].escaped, ok = t.text(at)
	case c == '-' || c >= '0' && c <= '9':
		k, ok = kindNumber, t.number(at)
	case c == 't':
		k, ok = kindBool, t.literal(at, "true")
	case c == 'f':
		k, ok = kindBool, t.literal(at, "false")
	case c == 'n':
		k, ok = kindNull, t.literal(at, "null")
	default:
		return t.syntax(at, "want a value")
	}
	if !ok {
		return none
	}
	t.nodes[at].kind, t.nodes[at].end = k, t.pos
	return at
}

func (t *tree) object(at, depth int) bool {
	t.pos++
	if t.space(); t.peek() == '}' {
		t.pos++
		return true
	}
	last, anyEscape := none, false
	for n := 0; ; n++ {
		if t.space(); t.peek() != '"' {
			t.syntax(at, "want a key")
			return false
		}
		keyStart := t.pos + 1
		escaped, ok := t.text(at)
		if !ok {
			return false
		}
		anyEscape = anyEscape || escaped
		keyEnd := t.pos - 1
		if t.space(); t.peek() != ':' {
			t.syntax(at, "want a colon")
			return false
		}
		t.pos++
		t.space()
		child := t.value(at, keyStart, keyEnd, n, depth+1)
		if child == none {
			return false
		}
		t.link(at, &last, child)
		t.space()
		switch t.peek() {
		case ',':
			t.pos++
		case '}':
			t.pos++
			return t.distinct(at, n+1, anyEscape)
		default:
			t.syntax(at, "want a comma or closing brace")
			return false
		}
	}
}

func (t *tree) array(at, depth int) bool {
	t.pos++
	if t.space(); t.peek() == ']' {
		t.pos++
		return true
	}
	last := none
	for n := 0; ; n++ {
		t.space()
		child := t.value(at, 0, 0, n, depth+1)
		if child == none {
			return false
		}
		t.link(at, &last, child)
		t.space()
		switch t.peek() {
		case ',':
			t.pos++
		case ']':
			t.pos++
			return true
		default:
			t.syntax(at, "want a comma or closing bracket")
			return false
		}
	}
}

func (t *tree) link(parent int, last *int, child int) {
	if *last == none {
		t.nodes[parent].first = child
	} else {
		t.nodes[*last].next = child
	}
	*last = child
}

// distinct refuses an object of n members that has one key twice. Small objects are
// compared pairwise; large ones use a map, so that a hostile object costs no more than linear time.
func (t *tree) distinct(at, n int, escaped bool) bool {
	if n <= 24 && !escaped {
		for a := t.nodes[at].first; a != none; a = t.nodes[a].next {
			key := t.raw[t.nodes[a].keyStart:t.nodes[a].keyEnd]
			for b := t.nodes[a].next; b != none; b = t.nodes[b].next {
				if bytes.Equal(key, t.raw[t.nodes[b].keyStart:t.nodes[b].keyEnd]) {
					t.fail(RuleDuplicateKey, b, "named twice")
					return false
				}
			}
		}
		return true
	}
	seen := make(map[string]struct{}, n)
	for a := t.nodes[at].first; a != none; a = t.nodes[a].next {
		key := t.raw[t.nodes[a].keyStart:t.nodes[a].keyEnd]
		if escaped {
			key = []byte(unescape(key))
		}
		if _, twice := seen[string(key)]; twice {
			t.fail(RuleDuplicateKey, a, "named twice")
			return false
		}
		seen[string(key)] = struct{}{}
	}
	return true
}

func (t *tree) literal(at int, word string) bool {
	for i := range len(word) {
		if t.peek() != word[i] {
			t.syntax(at, "want a value")
			return false
		}
		t.pos++
	}
	return true
}

// number checks the grammar of RFC 8259 section 6.
func (t *tree) number(at int) bool {
	if t.peek() == '-' {
		t.pos++
	}
	if t.peek() == '0' {
		t.pos++
	} else if !t.digits(at) {
		return false
	}
	if t.peek() == '.' {
		t.pos++
		if !t.digits(at) {
			return false
		}
	}
	if c := t.peek(); c == 'e' || c == 'E' {
		t.pos++
		if c := t.peek(); c == '+' || c == '-' {
			t.pos++
		}
		return t.digits(at)
	}
	return true
}

func (t *tree) digits(at int) bool {
	begin := t.pos
	for c := t.peek(); c >= '0' && c <= '9'; c = t.peek() {
		t.pos++
	}
	if t.pos == begin {
		t.syntax(at, "want a digit")
		return false
	}
	return true
}
