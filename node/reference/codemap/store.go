package codemap

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/reference"
)

// Config configures a [Store]. All fields are required.
type Config struct {
	Kept       *reference.Store
	Vocabulary *vocab.Store

	// What Unmapped looks through.
	DB     *sqldb.DB
	People *omop.Store
	Series *series.Store
}

// Store keeps the versions of a site's maps. It is safe for concurrent use.
type Store struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	last     *Map
	resolved string // the vocabulary that last is resolved against
}

// New returns a Store.
func New(cfg Config) *Store { return &Store{cfg: cfg} }

// Import makes a version of a file of SOURCE_TO_CONCEPT_MAP: its rows take the place of
// all rows of the same source vocabularies, or with replace of all. A target has to be a
// standard concept of the vocabulary that is loaded. The error of a file that is not
// taken is [reference.Faults].
func (s *Store) Import(ctx context.Context, content []byte, replace bool, now time.Time) (reference.Version, error) {
	list, err := parse(content)
	if err == nil {
		err = s.check(ctx, list, sqldb.DateOf(now))
	}
	if err != nil {
		return reference.Version{}, fmt.Errorf("codemap: import: %w", err)
	}
	version, err := s.cfg.Kept.Change(ctx, reference.Codes, now, func(newest []byte) ([]byte, int, error) {
		all := list
		if newest != nil && !replace {
			old, err := parse(newest)
			if err != nil {
				return nil, 0, err
			}
			all = over(old, list)
		}
		if len(all) > maxEntries {
			return nil, 0, reference.Faults{{Line: 1, What: "the list would have more than 500,000 entries"}}
		}
		return write(all), len(all), nil
	})
	if err != nil {
		return reference.Version{}, fmt.Errorf("codemap: import: %w", err)
	}
	return version, nil
}

// check compares the targets with the vocabulary, and fills in whose they are.
func (s *Store) check(ctx context.Context, list []row, today sqldb.Date) error {
	concepts, err := s.concepts(ctx, list)
	if err != nil {
		return err
	}
	var faults reference.Faults
	for i := range list {
		r := &list[i]
		if r.Target == 0 || r.Invalid != "" {
			continue
		}
		c, known := concepts[r.Target]
		switch {
		case !known:
			faults.Add(r.line, "the vocabulary has no concept %d", r.Target)
		case !c.Standard:
			faults.Add(r.line, "concept %d is not a standard concept", r.Target)
		case r.TargetIn != "" && r.TargetIn != c.Vocabulary:
			faults.Add(r.line, "concept %d is of %s, not of the target_vocabulary_id", r.Target, c.Vocabulary)
		case r.To < today:
			faults.Add(r.line, "valid_end_date is past: write D or U as invalid_reason")
		}
		r.TargetIn = c.Vocabulary
	}
	return faults.Err()
}

func (s *Store) concepts(ctx context.Context, list []row) (map[int64]vocab.Concept, error) {
	ids := make([]int64, 0, len(list))
	for _, r := range list {
		ids = append(ids, r.Target)
	}
	slices.Sort(ids)
	return s.cfg.Vocabulary.Concepts(ctx, slices.Compact(ids))
}

// Map returns the maps in force, resolved against the vocabulary that is loaded.
func (s *Store) Map(ctx context.Context) (*Map, error) {
	words, err := s.cfg.Vocabulary.Version(ctx)
	if err != nil {
		return nil, err
	}
	number, err := s.cfg.Kept.Newest(ctx, reference.Codes)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.last.Version == number && s.resolved == words {
		return s.last, nil
	}
	list, err := s.rows(ctx, number)
	if err != nil {
		return nil, err
	}
	concepts, err := s.concepts(ctx, list)
	if err != nil {
		return nil, err
	}
	s.last, s.resolved = resolve(number, entries(list), concepts), words
	return s.last, nil
}

// rows reads a version, 0 for the newest.
func (s *Store) rows(ctx context.Context, number int) ([]row, error) {
	_, content, err := s.cfg.Kept.Read(ctx, reference.Codes, number)
	if err != nil || content == nil {
		return nil, err
	}
	list, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("codemap: version %d: %w", number, err)
	}
	return list, nil
}

func entries(list []row) []Entry {
	out := make([]Entry, len(list))
	for i, r := range list {
		out[i] = r.Entry
	}
	return out
}

// Entries returns a version with its number, 0 for the newest, or [reference.ErrVersion].
func (s *Store) Entries(ctx context.Context, number int) (int, []Entry, error) {
	if number == 0 {
		var err error
		if number, err = s.cfg.Kept.Newest(ctx, reference.Codes); err != nil {
			return 0, nil, err
		}
	}
	list, err := s.rows(ctx, number)
	return number, entries(list), err
}

// File returns a version as the file that can be edited and imported, 0 for the newest,
// or [reference.ErrVersion].
func (s *Store) File(ctx context.Context, number int) ([]byte, error) {
	_, content, err := s.cfg.Kept.Read(ctx, reference.Codes, number)
	if err == nil && content == nil {
		content = write(nil)
	}
	return content, err
}

// Versions returns all versions, newest first.
func (s *Store) Versions(ctx context.Context) ([]reference.Version, error) {
	return s.cfg.Kept.Versions(ctx, reference.Codes)
}
