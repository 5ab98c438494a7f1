package variable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/node/reference"
)

// Vocabulary is what an import asks for the concepts that a file leaves out.
type Vocabulary interface {
	// Concept returns the standard concept of a code of a system that is named as
	// FHIR does, 0 for none.
	Concept(ctx context.Context, system, code string) (int64, error)

	// UnitConcept returns the standard concept of a UCUM code, 0 for none.
	UnitConcept(ctx context.Context, code string) (int64, error)
}

// Store keeps the versions of a site's list. It is safe for concurrent use.
type Store struct {
	kept  *reference.Store
	words Vocabulary

	mu    sync.Mutex // guards what follows
	known map[int]*List
}

// Open returns the list of a site. If the program ships another list than the one that
// the newest version has been made over, it makes a version of it with what the site has
// added and changed; unless those contradict the new list, then the old one stays in
// force until the site imports a change.
func Open(ctx context.Context, kept *reference.Store, words Vocabulary, now time.Time) (*Store, error) {
	s := &Store{kept: kept, words: words, known: map[int]*List{}}
	if _, err := kept.Change(ctx, reference.Variables, now, func(newest []byte) ([]byte, int, error) {
		old, err := ofSite(newest)
		if err != nil {
			return nil, 0, err
		}
		next, entries, err := lay(old)
		if _, contradicted := errors.AsType[reference.Faults](err); contradicted && newest != nil {
			return newest, len(old), nil
		}
		return next, entries, err
	}); err != nil {
		return nil, fmt.Errorf("variable: %w", err)
	}
	return s, nil
}

// Import makes a version of what a file says, CSV or YAML: its variables are added, or
// take the place of those with the same system and code. With replace what the site had
// added and changed before is dropped first. The error of a file that is not taken is
// [reference.Faults].
func (s *Store) Import(ctx context.Context, content []byte, replace bool, now time.Time) (reference.Version, error) {
	list, err := parse(content)
	if err != nil {
		return reference.Version{}, fmt.Errorf("variable: import: %w", err)
	}
	if err := complete(ctx, list, s.words); err != nil {
		return reference.Version{}, fmt.Errorf("variable: import: %w", err)
	}
	for i := range list {
		list[i].Site = true
	}
	version, err := s.kept.Change(ctx, reference.Variables, now, func(newest []byte) ([]byte, int, error) {
		if replace {
			return lay(list)
		}
		old, err := ofSite(newest)
		if err != nil {
			return nil, 0, err
		}
		return lay(over(old, list))
	})
	if err != nil {
		return reference.Version{}, fmt.Errorf("variable: import: %w", err)
	}
	return version, nil
}

// lay returns the file of the shipped list with the site's laid over it.
func lay(site []entry) ([]byte, int, error) {
	shipped, err := parse(shippedFile)
	if err != nil {
		return nil, 0, err
	}
	all := over(shipped, site)
	if err := check(all); err != nil {
		return nil, 0, err
	}
	return write(variables(all)), len(all), nil
}

// over returns base with the entries of list; those replace what base has of their
// system and code.
func over(base, list []entry) []entry {
	type name struct{ system, code string }
	fresh := map[name]bool{}
	for _, e := range list {
		fresh[name{e.System, e.Code}] = true
	}
	var out []entry
	for _, e := range base {
		if !fresh[name{e.System, e.Code}] {
			out = append(out, e)
		}
	}
	return append(out, list...)
}

// ofSite returns what the site has added and changed in the file of a version.
func ofSite(content []byte) (list []entry, err error) {
	if content == nil { // there is no version yet
		return nil, nil
	}
	all, err := parse(content)
	for _, e := range all {
		if e.Site {
			list = append(list, e)
		}
	}
	return list, err
}

// complete looks up the concepts that a file leaves out.
func complete(ctx context.Context, list []entry, v Vocabulary) (err error) {
	for i := range list {
		e := &list[i]
		if e.Concept == 0 {
			if e.Concept, err = v.Concept(ctx, e.System, e.Code); err != nil {
				return err
			}
		}
		for j := range e.Units {
			u := &e.Units[j]
			if len(u.Concepts) > 0 {
				continue
			}
			concept, err := v.UnitConcept(ctx, u.Code)
			if err != nil {
				return err
			}
			if concept != 0 {
				u.Concepts = []int64{concept}
			}
		}
	}
	return nil
}

// InForce returns the number of the newest version.
func (s *Store) InForce(ctx context.Context) (int, error) {
	return s.kept.Newest(ctx, reference.Variables)
}

// Versions returns all versions, newest first.
func (s *Store) Versions(ctx context.Context) ([]reference.Version, error) {
	return s.kept.Versions(ctx, reference.Variables)
}

// List returns a version, 0 for the newest, or [reference.ErrVersion].
func (s *Store) List(ctx context.Context, number int) (*List, error) {
	if number == 0 {
		var err error
		if number, err = s.InForce(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	l, ok := s.known[number]
	s.mu.Unlock()
	if ok {
		return l, nil
	}
	_, content, err := s.kept.Read(ctx, reference.Variables, number)
	if err != nil {
		return nil, err
	}
	entries, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("variable: version %d: %w", number, err)
	}
	l = newList(number, variables(entries))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[number] = l // versions do not change, and there are few
	return l, nil
}
