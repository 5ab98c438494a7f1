package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// document reads the whole input.
func (r *reader) document() error {
	h, err := r.header()
	if err != nil {
		return err
	}
	if err := r.begin(h); err != nil {
		return err
	}
	if h.body {
		if err := r.scan.children(r.body); err != nil {
			return err
		}
		// CDA has nothing behind the body.
		if err := r.scan.children(func(token, int64) error { return r.scan.skip() }); err != nil {
			return err
		}
	}
	_, err = r.scan.next() // there may be something behind the document
	return err
}

// header is a document's element up to its body.
type header struct {
	element *element
	line    int
	raw     []byte
	body    bool // there is one
}

// header reads up to the body. After an error, what was read until then is in element.
func (r *reader) header() (h header, err error) {
	start, from, err := r.root()
	if err != nil {
		return header{}, err
	}
	h = header{element: &element{name: start.name, attrs: start.attrs}, line: start.line}
	nodes := r.opts.MaxNodes
	for {
		t, err := r.scan.next()
		if err != nil {
			return h, err
		}
		switch {
		case t.kind == tokenEnd, t.kind == tokenStart && t.name == "component":
			h.body = t.kind == tokenStart
			if h.raw = r.scan.src.between(from, r.scan.began); h.raw == nil {
				err = &fhir.Problem{Rule: fhir.RuleTooLarge, Line: start.line, Detail: "the header is over the record limit"}
			}
			return h, err
		case t.kind == tokenStart:
			child, err := r.scan.tree(t, &nodes)
			if err != nil {
				return h, err
			}
			if child == nil {
				return h, tooMany(start.line, "")
			}
			h.element.children = append(h.element.children, child)
		}
	}
}

// root reads up to the document's element and returns its start and where that stands.
func (r *reader) root() (start token, from int64, err error) {
	for start.kind != tokenStart {
		r.scan.mark()
		if start, err = r.scan.next(); err != nil {
			return token{}, 0, err
		}
	}
	from = r.scan.began
	if start.name == "ClinicalDocument" {
		return start, from, nil
	}
	if open := r.scan.open[0]; open.Local == "ClinicalDocument" {
		return token{}, 0, &fhir.Problem{Rule: RuleUndeclaredNamespace, Line: start.line, Detail: "want ClinicalDocument of urn:hl7-org:v3"}
	}
	return token{}, 0, &fhir.Problem{Rule: RuleNotClinicalDocument, Line: start.line, Detail: "want ClinicalDocument"}
}

// begin gives the header, the patient and the visit. Without a patient there is nothing
// more to read.
func (r *reader) begin(h header) error {
	c := &r.convert
	by, number := identified(h.element)
	if number == "" {
		number = fhir.Digest(string(h.raw))
	}
	c.document = fhir.Digest("ClinicalDocument", by, number)
	c.line, c.raw = h.line, h.raw
	c.emit(fhir.Record{Type: "ClinicalDocument", ID: c.document, Line: h.line, Raw: h.raw}, nil)
	c.header(h.element)
	if c.patient.IsZero() {
		return errStopped
	}
	return r.ended()
}

// body reads what stands in the document's component.
func (r *reader) body(t token, from int64) error {
	switch t.name {
	case "structuredBody":
		return r.scan.children(func(t token, _ int64) error {
			if t.name != "component" {
				return r.scan.skip()
			}
			return r.scan.children(r.section)
		})
	case "nonXMLBody":
		r.at = "nonXMLBody"
		if err := r.scan.skip(); err != nil {
			return err
		}
		return r.keep("NonXMLBody", t.line, r.scan.src.between(from, r.scan.offset()))
	}
	return r.scan.skip()
}

// keep gives a part of the document as a record that is not decoded.
func (r *reader) keep(kind string, line int, raw []byte) error {
	if raw == nil {
		return r.report(&fhir.Problem{Rule: fhir.RuleTooLarge, Line: line, Path: string(r.at), Detail: "over the record limit"})
	}
	r.convert.line, r.convert.raw = line, raw
	r.convert.keep(kind, r.at)
	return r.ended()
}
