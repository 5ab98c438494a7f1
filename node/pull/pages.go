package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
)

// pages reads the resources of a search as NDJSON, as sent but for the space between their
// tokens, until it has enough of them.
type pages struct {
	next  func() (fhirserver.Page, error, bool)
	close func() // ends the search
	want  int    // resources
	buf   bytes.Buffer
	err   error // that comes after buf

	resources int
	outcomes  int64
	more      string    // the page to go on with, empty at the end of the search
	first     time.Time // of the first page, by the server's clock
}

func newPages(search iter.Seq2[fhirserver.Page, error], want int) *pages {
	p := &pages{want: want}
	p.next, p.close = iter.Pull2(search)
	return p
}

// Read gives lines. It ends with a whole page.
func (p *pages) Read(to []byte) (int, error) {
	for p.buf.Len() == 0 && p.err == nil {
		p.err = p.fill()
	}
	if p.buf.Len() > 0 {
		return p.buf.Read(to)
	}
	return 0, p.err
}

// fill takes the next page.
func (p *pages) fill() error {
	if p.resources >= p.want {
		return io.EOF
	}
	page, err, some := p.next()
	if !some {
		return io.EOF
	}
	if err != nil {
		return err
	}
	if p.first.IsZero() {
		p.first = page.Time
	}
	for _, resource := range page.Resources {
		if err := json.Compact(&p.buf, resource); err != nil {
			return errors.New("page of a search: a resource is no JSON")
		}
		p.buf.WriteByte('\n')
	}
	p.resources += len(page.Resources)
	p.outcomes += int64(page.Outcomes)
	p.more = page.Next
	return nil
}

func (p *pages) findings() map[string]int64 {
	if p.outcomes == 0 {
		return nil
	}
	return map[string]int64{"outcome of a search": p.outcomes}
}
