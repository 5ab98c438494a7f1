package ccda

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// The namespaces that names are told by.
const (
	hl7Namespace      = "urn:hl7-org:v3"
	sdtcNamespace     = "urn:hl7-org:sdtc"
	instanceNamespace = "http://www.w3.org/2001/XMLSchema-instance"
	xmlNamespace      = "http://www.w3.org/XML/1998/namespace"
)

// foreign is the name of every element that is neither HL7's nor of sdtc.
const foreign = "*"

type tokenKind uint8

const (
	tokenEnd tokenKind = iota // of the element opened last
	tokenStart
	tokenText
	tokenEOF
)

// token is what scanner gives. Its text is valid until the next one.
type token struct {
	kind tokenKind

	// name is HL7's name of an element, "sdtc:" and its name, or foreign.
	name  string
	attrs []attribute
	line  int // on which it begins, from 1
	text  []byte
}

// attribute is one of no namespace, or xsi:type.
type attribute struct{ name, value string }

// binding is a namespace prefix in force; depth is that of the element that declared it.
type binding struct {
	prefix, uri string
	depth       int
}

// maxBindings bounds the prefixes in force, as each name is looked up among them.
const maxBindings = 100

// scanner reads one document as tokens. It does what encoding/xml leaves to its caller:
// it refuses a DTD, matches tags, resolves prefixes strictly and bounds the depth.
type scanner struct {
	dec      *xml.Decoder
	src      *recorder
	maxDepth int
	bindings []binding
	open     []xml.Name
	seen     bool  // the root
	began    int64 // offset of the last token
}

func newScanner(src *recorder, maxDepth int) *scanner {
	dec := xml.NewDecoder(src)
	// The bytes are UTF-8 already, whatever the declaration says.
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return &scanner{dec: dec, src: src, maxDepth: maxDepth, bindings: []binding{{prefix: "xml", uri: xmlNamespace}, {prefix: "", uri: ""}}}
}

// offset is where the next token begins.
func (s *scanner) offset() int64 { return s.dec.InputOffset() }

// mark begins a piece of the document at the next token.
func (s *scanner) mark() { s.src.begin(s.offset()) }

// children hands each child of the element whose start has been read to on, which reads
// it to its end. A piece of the document begins with each.
func (s *scanner) children(on func(child token, from int64) error) error {
	for {
		s.mark()
		t, err := s.next()
		if err != nil || t.kind == tokenEnd {
			return err
		}
		if t.kind == tokenStart {
			if err := on(t, s.began); err != nil {
				return err
			}
		}
	}
}

// line is that of the next token.
func (s *scanner) line() int {
	line, _ := s.dec.InputPos()
	return line
}

// next returns the next token. An error is a [*fhir.Problem] without a path, after which
// there is no next token, or the input's.
func (s *scanner) next() (token, error) {
	for {
		line := s.line()
		s.began = s.offset()
		t, err := s.dec.RawToken()
		if errors.Is(err, io.EOF) && len(s.open) == 0 && s.seen {
			return token{kind: tokenEOF, line: line}, nil
		}
		if err != nil {
			return token{}, s.fault(err, line)
		}
		switch t := t.(type) {
		case xml.StartElement:
			return s.start(t, line)
		case xml.EndElement:
			return s.end(t, line)
		case xml.CharData:
			if len(s.open) > 0 {
				return token{kind: tokenText, text: t, line: line}, nil
			}
			if strings.TrimSpace(string(t)) != "" {
				return token{}, &fhir.Problem{Rule: RuleMalformedXML, Line: line, Detail: "text outside the document's element"}
			}
		case xml.Directive:
			return token{}, &fhir.Problem{Rule: RuleForbiddenDTD, Line: line, Detail: "want a document without a type declaration"}
		}
	}
}

func (s *scanner) start(t xml.StartElement, line int) (token, error) {
	if len(s.open) == 0 && s.seen {
		return token{}, &fhir.Problem{Rule: RuleMalformedXML, Line: line, Detail: "a second element behind the document's"}
	}
	s.seen = true
	s.open = append(s.open, t.Name)
	if len(s.open) > s.maxDepth {
		return token{}, &fhir.Problem{Rule: fhir.RuleTooDeep, Line: line, Detail: "elements nested too deep"}
	}
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "xmlns":
			s.bindings = append(s.bindings, binding{a.Name.Local, a.Value, len(s.open)})
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			s.bindings = append(s.bindings, binding{"", a.Value, len(s.open)})
		}
	}
	if len(s.bindings) > maxBindings {
		return token{}, &fhir.Problem{Rule: fhir.RuleTooLarge, Line: line, Detail: "more namespace declarations than the limit"}
	}
	out := token{kind: tokenStart, line: line, name: foreign}
	uri, ok := s.resolve(t.Name.Space)
	switch uri {
	case hl7Namespace:
		out.name = t.Name.Local
	case sdtcNamespace:
		out.name = "sdtc:" + t.Name.Local
	}
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "xmlns":
		case a.Name.Space == "":
			if a.Name.Local != "xmlns" {
				out.attrs = append(out.attrs, attribute{a.Name.Local, a.Value})
			}
		default:
			uri, declared := s.resolve(a.Name.Space)
			if ok = ok && declared; uri == instanceNamespace && a.Name.Local == "type" {
				_, local, qualified := strings.Cut(a.Value, ":")
				if !qualified {
					local = a.Value
				}
				out.attrs = append(out.attrs, attribute{"xsi:type", local})
			}
		}
	}
	if !ok {
		return token{}, &fhir.Problem{Rule: RuleUndeclaredNamespace, Line: line, Detail: "want an xmlns declaration of every prefix"}
	}
	return out, nil
}

// resolve returns the namespace of a prefix, and false if it has none.
func (s *scanner) resolve(prefix string) (uri string, ok bool) {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if s.bindings[i].prefix == prefix {
			return s.bindings[i].uri, prefix == "" || s.bindings[i].uri != ""
		}
	}
	return "", false
}

func (s *scanner) end(t xml.EndElement, line int) (token, error) {
	if len(s.open) == 0 || s.open[len(s.open)-1] != t.Name {
		return token{}, &fhir.Problem{Rule: RuleMalformedXML, Line: line, Detail: "an end tag that matches no start tag"}
	}
	for len(s.bindings) > 0 && s.bindings[len(s.bindings)-1].depth == len(s.open) {
		s.bindings = s.bindings[:len(s.bindings)-1]
	}
	s.open = s.open[:len(s.open)-1]
	return token{kind: tokenEnd, line: line}, nil
}

// fault says what an error of encoding/xml amounts to. What it quotes of the document is
// left out.
func (s *scanner) fault(err error, line int) error {
	if p, ok := fhir.InputProblem(err, line); ok {
		return p
	}
	if errors.Is(err, errTag) {
		return &fhir.Problem{Rule: fhir.RuleTooLarge, Line: line, Detail: "a tag is over the limit"}
	}
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		if s.src.err == nil { // such as a version that is not 1.0
			return &fhir.Problem{Rule: RuleMalformedXML, Line: line, Detail: "want XML 1.0"}
		}
		return fmt.Errorf("ccda: read input near line %d: %w", line, err)
	}
	p := &fhir.Problem{Rule: RuleMalformedXML, Line: syntax.Line, Detail: "not well-formed"}
	switch {
	case strings.HasPrefix(syntax.Msg, "unexpected EOF"):
		p.Rule, p.Detail = fhir.RuleTruncated, "the document ends early"
	case strings.HasPrefix(syntax.Msg, "invalid UTF-8"):
		p.Rule, p.Detail = fhir.RuleInvalidUTF8, "not of the encoding that it declares"
	case strings.HasPrefix(syntax.Msg, "invalid character entity"):
		p.Detail = "an entity that XML does not define"
	}
	return p
}
