package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// open is a section being read.
type open struct {
	line    int
	from    int64
	head    *element // templates and code
	words   narrative
	kind    *sectionType // nil until its head has been read
	at      place
	entries int
	told    bool // it has been given as a record, if it had to be
	others  bool // it is about somebody else than the patient
}

// section reads a section whose start has been read, and those inside it.
func (r *reader) section(t token, from int64) error {
	if t.name != "section" {
		return r.scan.skip()
	}
	s := &open{line: t.line, from: from, head: &element{name: t.name}}
	if err := r.parts(s); err != nil {
		if s.kind == nil {
			r.decide(s) // for the place of the problem
		}
		return err
	}
	r.at = ""
	return nil
}

// parts reads the children of a section.
func (r *reader) parts(s *open) error {
	nodes := r.opts.MaxNodes
	for {
		if s.entries > 0 && s.kind.kind != unread {
			r.scan.mark()
		}
		t, err := r.scan.next()
		switch {
		case err != nil:
			return err
		case t.kind == tokenEnd:
			return r.tell(s, r.scan.offset())
		case t.kind == tokenStart:
			if err := r.part(s, t, r.scan.began, &nodes); err != nil {
				return err
			}
		}
	}
}

// part reads a child of a section.
func (r *reader) part(s *open, t token, from int64, nodes *int) error {
	switch t.name {
	case "templateId", "code":
		head, err := r.scan.tree(t, nodes)
		if head != nil {
			s.head.children = append(s.head.children, head)
		}
		return err
	case "text":
		return s.words.read(r.scan, t, r.opts.MaxNodes)
	case "subject":
		s.others = true
		return r.scan.skip()
	case "entry":
		r.decide(s)
		s.entries++
		if s.kind.kind == unread {
			return r.scan.skip()
		}
		return r.entry(s, t, from)
	case "component":
		// CDA has subsections last; what stands before them is the section's own.
		if err := r.tell(s, from); err != nil {
			return err
		}
		return r.scan.children(r.section)
	}
	return r.scan.skip()
}

// decide finds out what section it is, once its head has been read.
func (r *reader) decide(s *open) {
	if s.kind == nil {
		s.kind = typeOf(s.head)
		if s.others {
			somebody := *s.kind
			somebody.kind = unread
			s.kind = &somebody
		}
		r.names[s.kind.name]++
		s.at = s.kind.place(r.names[s.kind.name])
	}
	r.at = s.at
}

// tell gives a section that is not read, or has no entries to read, as a record of its
// own, with its bytes up to an offset.
func (r *reader) tell(s *open, to int64) error {
	r.decide(s)
	if s.told || s.kind.kind != unread && s.entries > 0 {
		return nil
	}
	s.told = true
	return r.keep(s.kind.recordType(), s.line, r.scan.src.between(s.from, to))
}

// entry reads one entry and gives what it says.
func (r *reader) entry(s *open, t token, from int64) error {
	r.at = s.at.nth("entry", s.entries)
	nodes := r.opts.MaxNodes
	e, err := r.scan.tree(t, &nodes)
	if err != nil {
		return err
	}
	end := r.scan.offset()
	switch {
	case e == nil:
		return r.report(tooMany(t.line, string(r.at)))
	case end-from > int64(r.opts.Limits.MaxRecord):
		return r.report(&fhir.Problem{Rule: fhir.RuleTooLarge, Line: t.line, Path: string(r.at), Detail: "the entry is over the record limit"})
	}
	r.convert.narrative = &s.words
	r.convert.entry(s.kind.kind, e, r.at, t.line, r.scan.src.between(from, end))
	return r.ended()
}
