package fhir

import (
	"bufio"
	"errors"
	"io"
)

// errBroken ends a document that cannot be followed any further; the Problem
// that says so has been yielded.
var errBroken = errors.New("fhir: document broken")

// document reads JSON objects, one after another. Only brackets and strings
// are followed here; each entry is parsed strictly once it has been cut out,
// so a bad entry does not end the bundle.
func (r *reader) document() error {
	for {
		c, err := r.space(nil)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c != '{' {
			return r.broken(r.line, "", "want an object")
		}
		if err := r.object(); err != nil {
			return err
		}
	}
}

func (r *reader) broken(line int, path, detail string) error {
	if err := r.report(&Problem{Rule: RuleMalformedJSON, Line: line, Path: path, Detail: detail}); err != nil {
		return err
	}
	return errBroken
}

// object reads a Bundle, whose entries it streams, or any other resource.
func (r *reader) object() error {
	line := r.line
	shell := &sink{limit: r.opts.MaxRecord} // the object without its entries
	b, err := r.members(shell)
	if b != nil && !errors.Is(err, errStopped) {
		if err := b.end(); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return r.closeObject(line, shell, b)
}

// members reads the object ahead to its end. The bundle is nil unless entries came.
func (r *reader) members(shell *sink) (b *bundle, err error) {
	shell.add(r.take())
	resourceType := ""
	for {
		c, err := r.space(shell)
		if err != nil {
			return b, err
		}
		if c == '}' {
			shell.add(r.take())
			return b, nil
		}
		if c == ',' {
			shell.add(r.take())
			continue
		}
		key, err := r.key(shell)
		if err != nil {
			return b, err
		}
		if c, err = r.space(shell); err != nil {
			return b, err
		}
		if key == `"entry"` && c == '[' && r.isBundle(resourceType) {
			if b == nil {
				b = newBundle(r, shell)
			}
			if err := b.entries(); err != nil {
				return b, err
			}
			shell.add('[')
			shell.add(']')
			continue
		}
		begin := len(shell.buf)
		if err := r.capture(shell); err != nil {
			return b, err
		}
		if key == `"resourceType"` {
			resourceType = string(shell.buf[begin:])
		}
	}
}

// key reads a key and its colon, and returns the key in its quotes.
func (r *reader) key(shell *sink) (string, error) {
	c, err := r.space(shell)
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", r.broken(r.line, "", "want a key")
	}
	begin := len(shell.buf)
	if err := r.capture(shell); err != nil {
		return "", err
	}
	key := string(shell.buf[begin:])
	if c, err = r.space(shell); err != nil {
		return "", err
	}
	if c != ':' {
		return "", r.broken(r.line, "", "want a colon")
	}
	shell.add(r.take())
	return key, nil
}

// closeObject judges what is left of an object when its entries are gone.
func (r *reader) closeObject(line int, shell *sink, b *bundle) error {
	t := &r.tree
	if shell.over {
		return r.report(&Problem{Rule: RuleTooLarge, Line: line, Detail: "over the record limit"})
	}
	if t.parse(shell.buf, r.opts.MaxDepth) != nil {
		return r.report(t.problem(line, ""))
	}
	resourceType := t.required(0, "resourceType")
	if b == nil && resourceType != "Bundle" {
		t.fault = nil
		return r.give(r.resource(0, line, "", ""))
	}
	if resourceType != "Bundle" {
		t.fail(RuleWrongType, t.member(0, "resourceType"), "has bundle entries, is no Bundle")
	}
	t.typed(0, "entry", kindArray)
	skipped := b != nil && b.skip // and reported
	if kind := t.required(0, "type"); !supported[kind] && !skipped {
		t.fail(RuleUnsupportedBundle, t.member(0, "type"), wantSupported)
	}
	if t.fault != nil {
		return r.report(t.problem(line, ""))
	}
	return nil
}

// isBundle decides whether the entry array ahead belongs to a Bundle. If the type has
// not come yet it looks ahead, as a List has entries too; what is too large for
// one record can only be a Bundle.
func (r *reader) isBundle(resourceType string) bool {
	if resourceType != "" {
		return resourceType == `"Bundle"`
	}
	for size := r.br.Size(); ; size *= 4 {
		size = min(size, r.opts.MaxRecord)
		if size > r.br.Size() {
			r.br = bufio.NewReaderSize(r.br, r.opts.MaxRecord)
		}
		head, err := r.br.Peek(size)
		var s keyScan
		s.run(head)
		if s.resourceType != "" {
			return s.resourceType == "Bundle"
		}
		if s.done || err != nil || size >= r.opts.MaxRecord {
			return true
		}
	}
}
