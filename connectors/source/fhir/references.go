package fhir

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// References finds, over all files of one import, the references Type/id that
// no record answers. It remembers 16 bytes per resource and per open reference.
// It is not safe for concurrent use.
type References struct {
	max  int
	full bool
	have map[[16]byte]struct{}
	open map[[16]byte]Open
}

// Open is a reference that nothing has answered: where it first stood.
type Open struct {
	Source string // as given to Note
	Line   int
	Path   string
	Type   string // the type that was referred to
	Count  int    // how many references point to the same missing resource
}

// NewReferences returns a tracker of at most limit resources and open references.
func NewReferences(limit int) *References {
	return &References{max: limit, have: map[[16]byte]struct{}{}, open: map[[16]byte]Open{}}
}

// Note takes in one record of the file called source.
func (s *References) Note(source string, rec Record) {
	if s.full = s.full || len(s.have)+len(s.open) >= s.max; s.full {
		return
	}
	self := referenceKey(rec.Type, rec.ID)
	s.have[self] = struct{}{}
	delete(s.open, self)
	if rec.Resource == nil {
		return
	}
	rec.Resource.EachReference(func(path string, ref *Reference) {
		if ref.Form != ReferenceLiteral {
			return
		}
		key := referenceKey(ref.Type, ref.ID)
		if _, ok := s.have[key]; ok {
			return
		}
		o, seen := s.open[key]
		if !seen {
			o = Open{Source: source, Line: rec.Line, Path: joinPath(rec.Path, path), Type: ref.Type}
		}
		o.Count++
		s.open[key] = o
	})
}

// Complete reports whether every record fitted the limit. If not, Unresolved
// may name references that a later record answered.
func (s *References) Complete() bool { return !s.full }

// Unresolved returns the open references by source, line and path.
func (s *References) Unresolved() []Open {
	all := make([]Open, 0, len(s.open))
	for _, o := range s.open {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Open) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type))
	})
	return all
}

func referenceKey(kind, id string) [16]byte {
	sum := sha256.Sum256([]byte(kind + "/" + id))
	return [16]byte(sum[:16])
}
