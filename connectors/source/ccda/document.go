package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// document reads the whole input.
func (r *reader) document() error {
	body, err := r.header()
	if err != nil {
		return err
	}
	if body {
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

// header reads the document's element up to its body and gives what it says. body is
// false if there is none.
func (r *reader) header() (body bool, err error) {
	start, from, err := r.root()
	if err != nil {
		return false, err
	}
	header := &element{name: start.name, attrs: start.attrs}
	nodes := r.opts.MaxNodes
	for {
		end := r.scan.offset()
		t, err := r.scan.next()
		if err != nil {
			return false, err
		}
		switch {
		case t.kind == tokenEnd, t.kind == tokenStart && t.name == "component":
			raw := r.scan.src.between(from, end)
			if raw == nil {
				return false, &fhir.Problem{Rule: fhir.RuleTooLarge, Line: start.line, Detail: "the header is over the record limit"}
			}
			return t.kind == tokenStart, r.begin(header, start.line, raw)
		case t.kind == tokenStart:
			child, err := r.scan.tree(t, &nodes)
			if err != nil {
				return false, err
			}
			if child == nil {
				return false, tooMany(start.line, "")
			}
			header.children = append(header.children, child)
		}
	}
}

// root reads up to the document's element and returns its start and where that stands.
func (r *reader) root() (start token, from int64, err error) {
	for start.kind != tokenStart {
		r.scan.mark()
		from = r.scan.offset()
		if start, err = r.scan.next(); err != nil {
			return token{}, 0, err
		}
	}
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
func (r *reader) begin(header *element, line int, raw []byte) error {
	c := &r.convert
	by, number := identified(header)
	if number == "" {
		number = hl7v2.Digest(string(raw))
	}
	c.document = hl7v2.Digest("ClinicalDocument", by, number)
	c.line, c.raw = line, raw
	c.emit(fhir.Record{Type: "ClinicalDocument", ID: c.document, Line: line, Raw: raw}, nil)
	c.header(header)
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
