package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// counter counts what files of an export say that is no record: what is gone, and what went
// wrong. Names of what it counts are of closed lists, never a value.
type counter struct {
	counts map[string]int64
	line   []byte
	over   bool // the line has no end in sight and is left out
	use    func(line []byte)
}

// maxLine is the size of a line that is looked at.
const maxLine = 16 << 20

// lines returns a writer that gives every line to use.
func (c *counter) lines(use func(line []byte)) io.Writer {
	c.counts, c.use = make(map[string]int64), use
	return c
}

// Write implements [io.Writer]; it never fails.
func (c *counter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		if c.over = c.over || len(c.line)+len(part) > maxLine; !c.over {
			c.line = append(c.line, part...)
		}
		if ended {
			c.flush()
		}
		rest = after
	}
	return len(p), nil
}

func (c *counter) flush() {
	switch {
	case c.over:
		c.counts["line that is too long"]++
	case len(bytes.TrimSpace(c.line)) > 0:
		c.use(c.line)
	}
	c.line, c.over = c.line[:0], false
}

// end returns the counts after the last line.
func (c *counter) end() map[string]int64 {
	c.flush()
	return c.counts
}

// deletion is how a bundle names a resource that is gone.
var deletion = regexp.MustCompile(`^([A-Z][A-Za-z]{1,63})/[A-Za-z0-9.-]{1,64}$`)

// deleted counts the resources that a bundle says are gone, by type.
//
// Source: HL7 Bulk Data Access 2.0, "deleted": bundles of type transaction whose entries have
// a request DELETE.
func (c *counter) deleted(line []byte) {
	var bundle struct {
		Entry each[deletedEntry] `json:"entry"`
	}
	bundle.Entry.use = func(e deletedEntry) {
		name := deletion.FindStringSubmatch(e.Request.URL)
		if e.Request.Method != "DELETE" || name == nil {
			c.counts["deleted, malformed"]++
			return
		}
		c.counts["deleted "+known(name[1])]++
	}
	if json.Unmarshal(line, &bundle) != nil {
		c.counts["deleted, malformed"]++
	}
}

// otherType stands for names that are no types: a server may write anything there.
const otherType = "other"

func known(resourceType string) string {
	if fhir.IsType(resourceType) {
		return resourceType
	}
	return otherType
}

// deletedEntry is an entry of a bundle that says what is gone.
type deletedEntry struct {
	Request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	} `json:"request"`
}

// each hands on the members of a list of JSON one by one: a line of empty ones takes ten
// times its length of memory.
type each[T any] struct{ use func(T) }

// UnmarshalJSON implements [json.Unmarshaler].
func (e *each[T]) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if begin, err := d.Token(); err != nil || begin != json.Delim('[') {
		return errors.New("no list")
	}
	for d.More() {
		var member T
		if err := d.Decode(&member); err != nil {
			return err
		}
		e.use(member)
	}
	return nil
}

// severities are those of FHIR's issue-severity.
var severities = map[string]bool{"fatal": true, "error": true, "warning": true, "information": true, "success": true}

// outcome counts the issues of an OperationOutcome, by severity and code.
func (c *counter) outcome(line []byte) {
	var outcome struct {
		Issue each[issue] `json:"issue"`
	}
	outcome.Issue.use = func(i issue) {
		if !severities[i.Severity] || !fhirserver.IsIssueCode(i.Code) {
			c.counts["server: malformed"]++
			return
		}
		c.counts["server: "+i.Severity+" "+i.Code]++
	}
	if json.Unmarshal(line, &outcome) != nil {
		c.counts["server: malformed"]++
	}
}

// issue is one of an OperationOutcome.
type issue struct {
	Severity string `json:"severity"`
	Code     string `json:"code"`
}
