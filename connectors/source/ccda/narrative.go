package ccda

import (
	"strings"
	"unicode/utf8"
)

// narrative is the text of a section for people, where entries point to by ID.
type narrative struct {
	private

	text  strings.Builder
	spans map[string][2]int // where in text the element of an ID stands
}

// maxWords bounds what one reference gives, in bytes.
const maxWords = 4096

// breaks are the elements whose ends separate words.
var breaks = map[string]bool{
	"br": true, "td": true, "th": true, "tr": true, "item": true, "paragraph": true, "caption": true, "list": true, "table": true,
}

// read takes the text element whose start has been read. It remembers at most limit IDs.
func (n *narrative) read(s *scanner, start token, limit int) error {
	type open struct {
		name, id string
		from     int
	}
	begin := func(t token) open {
		o := open{name: t.name, from: n.text.Len()}
		for _, a := range t.attrs {
			if a.name == "ID" {
				o.id = a.value
			}
		}
		return o
	}
	for path := []open{begin(start)}; len(path) > 0; {
		t, err := s.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case tokenStart:
			path = append(path, begin(t))
		case tokenText:
			n.text.Write(t.text)
		case tokenEnd:
			o := path[len(path)-1]
			path = path[:len(path)-1]
			if o.id != "" && len(n.spans) < limit {
				if n.spans == nil {
					n.spans = map[string][2]int{}
				}
				n.spans[o.id] = [2]int{o.from, n.text.Len()}
			}
			if breaks[o.name] {
				n.text.WriteByte(' ')
			}
		}
	}
	return nil
}

// at is the text that a reference (#id) points to, with single white space; empty if it
// points elsewhere.
func (n *narrative) at(reference string) string {
	id, local := strings.CutPrefix(reference, "#")
	span, ok := n.spans[id]
	if !local || !ok {
		return ""
	}
	words := n.text.String()[span[0]:min(span[1], span[0]+2*maxWords)]
	words = strings.Join(strings.Fields(words), " ")
	if len(words) <= maxWords {
		return strings.ToValidUTF8(words, "")
	}
	for end := maxWords; ; end-- {
		if utf8.RuneStart(words[end]) {
			return words[:end]
		}
	}
}
