// Package jsonstream reads one JSON document part by part, for formats whose documents
// are lists of any length: an element is held in memory, the document is not.
//
// Make a [Stream] with [New] and call Renew before each part: what comes between two
// calls is bounded. Errors are of type [*fhir.Problem] where the document is at fault.
package jsonstream

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// bufferSize is how many bytes are asked for at once.
const bufferSize = 64 << 10

// Stream is a document that is being read.
type Stream struct {
	in  *fhir.Bounded
	dec *json.Decoder
}

// New reads from src. A part has at most so many bytes; one that has more ends the
// document with the problem over.
func New(src io.Reader, most int, over *fhir.Problem) *Stream {
	in := &fhir.Bounded{Src: bufio.NewReaderSize(src, bufferSize), Most: most, Over: over}
	in.Renew()
	return &Stream{in: in, dec: json.NewDecoder(in)}
}

// Renew begins another part.
func (s *Stream) Renew() { s.in.Renew() }

// More reports whether the array or object has another element.
func (s *Stream) More() bool { return s.dec.More() }

// Token returns the next token.
func (s *Stream) Token() (json.Token, error) {
	t, err := s.dec.Token()
	return t, fault(err)
}

// Value returns the next value as it was sent.
func (s *Stream) Value() (raw json.RawMessage, err error) {
	return raw, s.Decode(&raw)
}

// Decode stores the next value in v, as [json.Unmarshal] does.
func (s *Stream) Decode(v any) error { return fault(s.dec.Decode(v)) }

// Expect reads a bracket, with which another part begins.
func (s *Stream) Expect(want json.Delim) error {
	s.Renew()
	switch token, err := s.Token(); {
	case err != nil:
		return err
	case token != want:
		return &fhir.Problem{Rule: fhir.RuleWrongType, Detail: "want " + want.String()}
	}
	return nil
}

// End expects the end of the input.
func (s *Stream) End() error {
	s.Renew()
	if _, err := s.dec.Token(); errors.Is(err, io.EOF) {
		return nil
	} else if err := fault(err); err != nil {
		return err
	}
	return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Detail: "content after the document"}
}

// fault is the problem that a decoder's error amounts to, or the error itself.
func fault(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
		return &fhir.Problem{Rule: fhir.RuleTruncated, Detail: "the input ends early"}
	case errors.As(err, &syntax):
		return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Detail: "what follows is not read"}
	case errors.As(err, &kind):
		return &fhir.Problem{Rule: fhir.RuleWrongType}
	}
	return err
}
