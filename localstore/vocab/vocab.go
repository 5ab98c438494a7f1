// Package vocab answers what a code of a source means: which OMOP concept it is
// and to which standard concepts it maps.
//
// Start from [Store]. [Store.Load] replaces the vocabularies by those of a folder
// as Athena delivers it, at once and while lookups go on; [Store.Lookup] is what
// mapping asks. A code that is not known is concept 0, as in OMOP: that is an
// answer, not an error.
//
// The vocabularies have licences of their own: a site loads those it is licensed
// for. Nothing here is about a person.
package vocab

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

// How much is remembered of codes and of what concept sets ask for, some 40 MB each at most.
const (
	cacheSize  = 100_000
	familySize = 500
	maxFamily  = 10_000 // concepts of one answer, with those it was asked of
)

// Concept is a row of concept. ID 0 means "no matching concept".
type Concept struct {
	ID         int64
	Name       string
	Domain     string // for example "Measurement"
	Vocabulary string // for example "LOINC"
	Class      string
	Code       string
	Standard   bool // may stand in the concept columns of the CDM
}

// Mapping is what is known about a code.
type Mapping struct {
	// Source is the concept of the code itself, standard or not.
	Source Concept
	// Standard are the standard concepts it maps to, by ID; usually one, several
	// for a code that says several things, none for one that is not mapped.
	Standard []Concept
}

// code is a code in its vocabulary.
type code struct{ vocabulary, code string }

// Store holds the vocabularies of a site. It is safe for concurrent use.
type Store struct {
	// Progress, if it is set before a load, is told how many bytes of each file are read.
	// Each is read twice, first for its digest.
	Progress func(file string, read, size int64)

	db *sqldb.DB

	loading sync.Mutex // held by Load

	mu         sync.Mutex // guards what follows
	cache      map[code]Mapping
	families   map[string][]int64
	generation int64 // of the load that both are about
}

// Open brings the tables of db up to date and returns a Store over them.
func Open(ctx context.Context, db *sqldb.DB) (*Store, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	if err := sqldb.Migrate(ctx, db, "vocab", sub); err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	s := &Store{db: db, cache: map[code]Mapping{}, families: map[string][]int64{}}
	if _, err := s.Version(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Version names the release that is loaded, "" for none; two loads of different
// content never have the same name. It also makes this process forget answers
// from before a load that another process has made, so a job calls it when it
// begins.
func (s *Store) Version(ctx context.Context) (string, error) {
	var generation int64
	var version string
	if err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT generation, version FROM vocabulary_load").Scan(&generation, &version)
	}); err != nil {
		return "", fmt.Errorf("vocab: version: %w", err)
	}
	s.forget(generation)
	return version, nil
}

// forget empties the cache if it is about another generation.
func (s *Store) forget(generation int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		s.generation, s.cache, s.families = generation, map[code]Mapping{}, map[string][]int64{}
	}
}

// Lookup returns what is known about a code of a vocabulary, both as OMOP writes
// them ("LOINC", "8480-6"). Of several concepts with the code a valid one counts.
// The result is shared: callers do not change it.
func (s *Store) Lookup(ctx context.Context, vocabulary, text string) (Mapping, error) {
	key := code{vocabulary, text}
	s.mu.Lock()
	m, ok := s.cache[key]
	generation := s.generation
	s.mu.Unlock()
	if ok {
		return m, nil
	}
	m, err := s.lookup(ctx, key)
	if err != nil {
		return Mapping{}, fmt.Errorf("vocab: look up a code of %s: %w", vocabulary, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		if len(s.cache) >= cacheSize {
			s.cache = map[code]Mapping{}
		}
		s.cache[key] = m
	}
	return m, nil
}

const conceptColumns = `c.concept_id, c.concept_name, c.domain_id, c.vocabulary_id, c.concept_class_id, c.concept_code,
	coalesce(c.standard_concept, '') = 'S'`

func (c *Concept) columns() []any {
	return []any{&c.ID, &c.Name, &c.Domain, &c.Vocabulary, &c.Class, &c.Code, &c.Standard}
}

func (s *Store) lookup(ctx context.Context, key code) (m Mapping, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		err := tx.QueryRow(ctx, `SELECT `+conceptColumns+` FROM concept c WHERE c.vocabulary_id = ? AND c.concept_code = ?
			ORDER BY c.invalid_reason IS NOT NULL, c.concept_id DESC LIMIT 1`, key.vocabulary, key.code).Scan(m.Source.columns()...)
		if errors.Is(err, sqldb.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Standard, err = mapsTo(ctx, tx, m.Source.ID); err != nil {
			return err
		}
		if len(m.Standard) == 0 && m.Source.Standard {
			m.Standard = []Concept{m.Source}
		}
		return nil
	})
	return m, err
}

func mapsTo(ctx context.Context, tx *sqldb.Tx, id int64) (out []Concept, err error) {
	rows, err := tx.Query(ctx, `SELECT `+conceptColumns+` FROM concept_relationship r JOIN concept c ON c.concept_id = r.concept_id_2
		WHERE r.concept_id_1 = ? AND r.relationship_id = 'Maps to' AND c.standard_concept = 'S' ORDER BY c.concept_id`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Concept
		if err := rows.Scan(c.columns()...); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
