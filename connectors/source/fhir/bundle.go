package fhir

import (
	"slices"
	"strconv"
	"strings"
)

// supported are the Bundle types whose entries are plain resources. A history repeats
// old versions and deletions; messages, documents and responses mean something else.
var supported = map[string]bool{"transaction": true, "batch": true, "collection": true, "searchset": true}

const wantSupported = "want transaction, batch, collection or searchset"

// bundle streams the entries of one Bundle and resolves urn: references among them.
type bundle struct {
	r     *reader
	skip  bool // the type is one we do not read
	index int
	entry sink

	known   map[string]Reference // by fullUrl
	full    bool                 // known has reached its limit
	waiting map[string][]*held   // by the fullUrl they wait for
	held    []*held              // in order of arrival; the first is not done
	done    int                  // of held
	bytes   int                  // of held records
}

// held is a record that refers to entries which have not come yet.
type held struct {
	rec     Record
	missing int // distinct fullUrls
	done    bool
}

// newBundle begins a bundle; shell is what came before its entries.
func newBundle(r *reader, shell *sink) *bundle {
	var t tree
	b := &bundle{r: r, entry: sink{limit: r.opts.MaxRecord}, known: map[string]Reference{}, waiting: map[string][]*held{}}
	if before := strings.TrimRight(string(shell.buf), " \t\r\n"); !shell.over && t.parse([]byte(before+"null}"), r.opts.MaxDepth) == nil {
		kind := t.str(0, "type")
		b.skip = kind != "" && !supported[kind]
	}
	return b
}

// entries reads the array ahead.
func (b *bundle) entries() error {
	r := b.r
	line := r.line
	if b.skip {
		err := r.report(&Problem{Rule: RuleUnsupportedBundle, Line: line, Path: "type", Detail: wantSupported})
		if err != nil {
			return err
		}
	}
	r.take()
	for comma := true; ; {
		c, err := r.space(nil)
		if err != nil {
			return err
		}
		path := "entry[" + strconv.Itoa(b.index) + "]"
		switch {
		case c == ']':
			r.take()
			return nil
		case c == ',' && !comma:
			r.take()
			comma = true
			continue
		case c == ',' || c == '}' || c == ':' || !comma:
			return r.broken(r.line, path, "want a comma between entries")
		}
		line := r.line
		b.entry.buf, b.entry.over = b.entry.buf[:0], false
		if err := r.capture(&b.entry); err != nil {
			return err
		}
		if !b.skip {
			if err := b.one(line, path); err != nil {
				return err
			}
		}
		b.index++
		comma = false
	}
}

// one reads the captured entry.
func (b *bundle) one(line int, path string) error {
	r, t := b.r, &b.r.tree
	if b.entry.over {
		return r.report(&Problem{Rule: RuleTooLarge, Line: line, Path: path, Detail: "the entry is over the record limit"})
	}
	if t.parse(b.entry.buf, r.opts.MaxDepth) != nil {
		return r.report(t.problem(line, path))
	}
	if !t.is(0, kindObject) {
		return r.report(t.problem(line, path))
	}
	fullURL, at := t.str(0, "fullUrl"), t.typed(0, "resource", kindObject)
	if at == none {
		t.missing(0, "resource")
	}
	if t.fault != nil {
		return r.report(t.problem(line, path))
	}
	rec, p := r.resource(at, line, path, fullURL)
	if p != nil {
		return r.report(p)
	}
	if err := b.admit(rec); err != nil {
		return err
	}
	return b.register(rec)
}

// admit delivers rec, or holds it back until the entries it refers to are known.
func (b *bundle) admit(rec Record) error {
	// A resource may refer to itself, so it is known before it is resolved.
	if strings.HasPrefix(rec.FullURL, "urn:") && !b.full {
		if b.full = len(b.known) >= b.r.opts.MaxTracked; !b.full {
			b.known[rec.FullURL] = Reference{Form: ReferenceLiteral, Type: rec.Type, ID: rec.ID, URN: rec.FullURL}
		} else if err := b.r.report(&Problem{
			Rule: RuleTooLarge, Line: rec.Line, Path: rec.Path,
			Detail: "more fullUrls than are remembered; references to later entries stay unresolved",
		}); err != nil {
			return err
		}
	}
	missing := b.resolve(&rec)
	if len(missing) == 0 || b.full {
		return b.r.deliver(rec)
	}
	h := &held{rec: rec, missing: len(missing)}
	for _, urn := range missing {
		b.waiting[urn] = append(b.waiting[urn], h)
	}
	b.held = append(b.held, h)
	b.bytes += len(rec.Raw)
	for b.bytes > b.r.opts.MaxRecord {
		if err := b.release(b.held[0]); err != nil {
			return err
		}
	}
	return nil
}

// resolve replaces the urn: references of rec that are known and returns the others, each once.
func (b *bundle) resolve(rec *Record) (missing []string) {
	if rec.Resource == nil {
		return nil
	}
	rec.Resource.EachReference(func(_ string, ref *Reference) {
		if ref.Form != ReferenceURN {
			return
		}
		if target, ok := b.known[ref.URN]; ok {
			*ref = target
		} else if !slices.Contains(missing, ref.URN) {
			missing = append(missing, ref.URN)
		}
	})
	return missing
}

// register delivers what waited for rec.
func (b *bundle) register(rec Record) error {
	waiters := b.waiting[rec.FullURL]
	delete(b.waiting, rec.FullURL)
	for _, h := range waiters {
		if h.missing--; h.missing == 0 && !h.done {
			if err := b.release(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// release delivers a held record and reports the references that are still open.
func (b *bundle) release(h *held) error {
	rec := h.rec
	h.rec, h.done = Record{}, true
	b.bytes -= len(rec.Raw)
	for b.done++; len(b.held) > 0 && b.held[0].done; b.done-- {
		b.held = b.held[1:]
	}
	// Dropping the others only once they are the majority costs linear time
	// over a bundle's life.
	if b.done > len(b.held)/2 {
		b.held = slices.DeleteFunc(b.held, func(h *held) bool { return h.done })
		b.done = 0
	}
	missing := b.resolve(&rec)
	if err := b.r.deliver(rec); err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	var err error
	rec.Resource.EachReference(func(path string, ref *Reference) {
		if err == nil && ref.Form == ReferenceURN {
			err = b.r.report(&Problem{
				Rule: RuleUnresolvedReference, Line: rec.Line, Path: joinPath(rec.Path, path),
				Detail: "no entry of the bundle has this fullUrl",
			})
		}
	})
	return err
}

// end delivers the records that waited in vain.
func (b *bundle) end() error {
	for len(b.held) > 0 {
		if err := b.release(b.held[0]); err != nil {
			return err
		}
	}
	return nil
}
