package table

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Set is the mappings of a site. It does not change and can be used by many goroutines. A
// nil Set has none.
type Set struct {
	mappings []*Mapping
	version  string
}

// maxSet is how many mappings a folder may have.
const maxSet = 1000

// LoadSet reads the mappings *.yaml and *.yml that lie in a folder itself. The error names
// every file that is none, with [Faults], and two mappings of one name.
func LoadSet(folder fs.FS) (*Set, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("table: read mappings: %w", err)
	}
	s, sum := &Set{}, sha256.New()
	var failed []error
	files := map[string]string{} // by mapping
	for _, e := range entries {
		if ext := path.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if len(s.mappings) == maxSet {
			return nil, fmt.Errorf("table: a folder has at most %d mappings", maxSet)
		}
		text, err := readMapping(folder, e.Name())
		if err != nil {
			failed = append(failed, fmt.Errorf("table: read mapping: %w", err))
			continue
		}
		m, err := Parse(text)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", e.Name(), err))
		case files[m.Name] != "":
			failed = append(failed, fmt.Errorf("%s: %s has the name %q as well; ids are made of it", e.Name(), files[m.Name], m.Name))
		default:
			files[m.Name] = e.Name()
			s.mappings = append(s.mappings, m)
			_, _ = fmt.Fprintf(sum, "%d:", len(text))
			_, _ = sum.Write(text)
		}
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	if len(s.mappings) > 0 {
		s.version = hex.EncodeToString(sum.Sum(nil)[:8])
	}
	return s, nil
}

// readMapping reads a file of at most a byte more than a mapping has.
func readMapping(folder fs.FS, name string) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMapping+1))
}

// Version names the content of the set: with another one, the records of the same file
// may be others. It is empty for a Set of none.
func (s *Set) Version() string {
	if s == nil {
		return ""
	}
	return s.version
}

// AmbiguousError reports a header that several mappings are for. It names mappings,
// nothing of the file.
type AmbiguousError struct{ First, Second string }

// Error names the two mappings and what to do.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("mappings %s and %s are both for this header; list more columns in one of them, or leave out extra: true", e.First, e.Second)
}

// Detect returns the one mapping that is for a table which begins with head, plain or
// gzip; nil if there is none. Head has to hold the whole header line, which may have 64
// KiB; 4 KiB do for most. The error is an [*AmbiguousError] if there are two. A mapping
// with header: false is for no table that is not given to it by name.
func (s *Set) Detect(head []byte) (*Mapping, error) {
	if s == nil || len(s.mappings) == 0 {
		return nil, nil //nolint:nilnil // nothing was found and nothing went wrong
	}
	br, err := decoded(bytes.NewReader(plain(head)), false)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // bytes that are no text are no table
	}
	text, err := peek(br)
	if err != nil || bytes.IndexByte(text, '\n') < 0 {
		return nil, nil //nolint:nilnil,nilerr // the header is not whole
	}
	var found *Mapping
	for _, delimiter := range []byte(delimiters) {
		cells, _ := firstRow(text, delimiter)
		if cells == nil {
			continue
		}
		header := names(cells)
		for _, m := range s.mappings {
			own := header
			if m.latin && !isUTF8(header) {
				own = latinNames(header)
			}
			if !m.header {
				continue
			}
			if _, p := m.claims(own); p != nil {
				continue
			}
			if found != nil && found != m {
				return nil, &AmbiguousError{found.Name, m.Name}
			}
			found = m
		}
	}
	return found, nil
}

// Stage says when a table can be loaded: after all those of a lower stage, as its rows
// refer to theirs. It is 0 if it makes patients, 1 if encounters, else 2.
func (m *Mapping) Stage() int {
	makes := func(kind string) bool {
		return slices.ContainsFunc(m.records, func(r record) bool { return r.kind.name == kind })
	}
	switch {
	case makes("patient"):
		return 0
	case makes("encounter"):
		return 1
	}
	return 2
}

// Overlaps reports whether a header that one of two mappings is for is surely one that the
// other is for as well.
func (m *Mapping) Overlaps(o *Mapping) bool {
	if !m.header || !o.header {
		return false
	}
	_, mine := m.claims(o.columns)
	_, theirs := o.claims(m.columns)
	return mine == nil || theirs == nil
}

// Read finds the mapping for a table and reads it as [Read] does. That there is none, or
// that there are two, is a problem.
func (s *Set) Read(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		head, src, err := headOf(src)
		if err != nil {
			yield(fhir.Record{}, fmt.Errorf("table: read input: %w", err))
			return
		}
		m, err := s.Detect(head)
		var ambiguous *AmbiguousError
		switch {
		case errors.As(err, &ambiguous):
			yield(fhir.Record{}, &fhir.Problem{Rule: RuleAmbiguousTable, Line: 1, Detail: err.Error()})
			return
		case m == nil:
			yield(fhir.Record{}, &fhir.Problem{Rule: RuleWrongHeader, Line: 1, Detail: "no mapping of this node fits this header: trialmesh node map suggest makes one, and the node reads mappings when it starts"})
			return
		}
		for rec, err := range Read(ctx, src, m, Options{Limits: opts}) {
			if !yield(rec, err) {
				return
			}
		}
	}
}

// headOf returns the beginning of a table and a reader of all of it.
func headOf(src io.Reader) ([]byte, io.Reader, error) {
	if typed, ok := src.(Typed); ok {
		return typed.Header(), src, nil
	}
	br := bufio.NewReaderSize(src, HeadSize)
	head, err := peek(br)
	return head, br, err
}

// plain returns the uncompressed beginning of what head begins.
func plain(head []byte) []byte {
	if !bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		return head
	}
	zipped, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	out := make([]byte, HeadSize)
	n, _ := io.ReadFull(zipped, out) // head need not hold all of it
	return out[:n]
}

// isUTF8 reports whether all names of a header are UTF-8.
func isUTF8(header []string) bool {
	return !slices.ContainsFunc(header, func(name string) bool { return strings.ToValidUTF8(name, "") != name })
}
