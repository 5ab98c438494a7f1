package vocab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// The statements before and after the rows of a load.
var (
	//go:embed load/sqlite_begin.sql
	sqliteBegin string
	//go:embed load/sqlite_end.sql
	sqliteEnd string
	//go:embed load/postgres_begin.sql
	postgresBegin string
	//go:embed load/postgres_end.sql
	postgresEnd string
)

// loadBatch is how many rows are one transaction.
const loadBatch = 10_000

// Loaded says what a load has brought.
type Loaded struct {
	Concepts int64
	Mappings int64 // valid "Maps to" relationships
	Ancestry int64 // rows of the hierarchy, 0 if the folder has none
	Version  string
}

// Load replaces all vocabularies by those of a folder with CONCEPT.csv,
// CONCEPT_RELATIONSHIP.csv and, for what is more general than what, CONCEPT_ANCESTOR.csv
// and, for the name of the release, VOCABULARY.csv; .gz and .tsv are found too. Lookups go
// on meanwhile and see the old vocabularies or the new ones, never a part. On an error
// ([ErrFormat], sqldb.ErrFull) the old ones stay. A load that was broken off goes on where
// it was when the same files are loaded again. Only one process loads at a time.
func (s *Store) Load(ctx context.Context, folder fs.FS) (Loaded, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.Progress != nil {
		folder = watched{folder, s.Progress}
	}
	l := &loading{db: s.db, folder: folder, digest: sha256.New(), ingredients: map[int64]bool{}}
	generation, err := l.load(ctx)
	if err != nil {
		return Loaded{}, fmt.Errorf("vocab: load: %w", err)
	}
	s.forget(generation)
	return l.loaded, nil
}

// loading is the state of one Load.
type loading struct {
	db     *sqldb.DB
	folder fs.FS
	digest hash.Hash // of the files, for the version
	loaded Loaded

	ingredients map[int64]bool // of RxNorm

	source string           // digest of the files as they are stored
	done   map[string]int64 // line up to which a load before had stored a file
}

func (l *loading) load(ctx context.Context) (generation int64, err error) {
	begin, end := sqliteBegin, sqliteEnd
	if l.db.Dialect() == sqldb.Postgres {
		begin, end = postgresBegin, postgresEnd
	}
	if l.source, err = sourceOf(ctx, l.folder); err != nil {
		return 0, err
	}
	if err := l.begin(ctx, begin); err != nil {
		return 0, err
	}
	release, err := l.release()
	if err != nil {
		return 0, err
	}
	if l.loaded.Concepts, err = l.fill(ctx, "CONCEPT", "concept_next", conceptFields, l.concept, nil); err != nil {
		return 0, err
	}
	if l.loaded.Concepts == 0 {
		return 0, fmt.Errorf("%w: CONCEPT holds no concept", ErrFormat)
	}
	if l.loaded.Mappings, err = l.fill(ctx, "CONCEPT_RELATIONSHIP", "concept_relationship_next", relationshipFields, relationshipRow, nil); err != nil {
		return 0, err
	}
	if l.loaded.Ancestry, err = l.ancestors(ctx); err != nil {
		return 0, err
	}
	l.loaded.Version = release + "+" + hex.EncodeToString(l.digest.Sum(nil)[:6])
	err = l.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, end); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM vocabulary_begun"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "UPDATE vocabulary_load SET generation = generation + 1, version = ? RETURNING generation", l.loaded.Version).
			Scan(&generation)
	})
	return generation, err
}

// release reads the name of the release: the version of the vocabulary "None".
func (l *loading) release() (string, error) {
	const unnamed = "unnamed"
	f, err := open(l.folder, "VOCABULARY")
	if errors.Is(err, fs.ErrNotExist) {
		return unnamed, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	t, err := newTable("VOCABULARY", f, "vocabulary_id", "vocabulary_version")
	if err != nil {
		return "", err
	}
	for {
		ok, err := t.next()
		if err != nil {
			return "", err
		}
		if !ok {
			return unnamed, nil
		}
		if t.text("vocabulary_id") == "None" && t.text("vocabulary_version") != "" {
			return t.text("vocabulary_version"), nil
		}
	}
}

var conceptFields = []string{
	"concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code",
	"valid_start_date", "valid_end_date", "invalid_reason",
}

var relationshipFields = []string{
	"concept_id_1", "concept_id_2", "relationship_id", "valid_start_date", "valid_end_date", "invalid_reason",
}

// textLimits are the widths of the text columns of the CDM, in characters.
var textLimits = map[string]int{
	"concept_name": 255, "domain_id": 20, "vocabulary_id": 20, "concept_class_id": 20, "standard_concept": 1,
	"concept_code": 50, "relationship_id": 20, "invalid_reason": 1,
}

// fill copies the rows of a file into a table; row returns nil for one to leave out, and
// beside, if it is not nil, is part of the transaction of each batch. It is called without
// one for a batch that a load before has stored.
func (l *loading) fill(ctx context.Context, file, into string, fields []string, row func(*table) ([]any, error), beside func(*sqldb.Tx) error) (total int64, err error) {
	f, err := open(l.folder, file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	t, err := newTable(file, io.TeeReader(f, l.digest), fields...)
	if err != nil {
		return 0, err
	}
	for {
		batch, err := l.batch(t, row)
		if err != nil || len(batch) == 0 {
			return total, err
		}
		if int64(t.line) <= l.done[file] {
			total += int64(len(batch))
			if beside != nil {
				err = beside(nil)
			}
		} else {
			err = l.db.Write(ctx, func(tx *sqldb.Tx) error {
				if _, err := tx.Insert(ctx, into, fields, slices.Values(batch)); err != nil {
					return err
				}
				if err := l.reached(ctx, tx, file, t.line); err != nil || beside == nil {
					return err
				}
				return beside(tx)
			})
			total += int64(len(batch))
		}
		if err != nil {
			return total, fmt.Errorf("%s: before line %d: %w", file, t.line+1, err)
		}
	}
}

func (l *loading) batch(t *table, row func(*table) ([]any, error)) ([][]any, error) {
	var batch [][]any
	for len(batch) < loadBatch {
		ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		values, err := row(t)
		if err != nil {
			return nil, err
		}
		if values != nil {
			batch = append(batch, values)
		}
	}
	return batch, nil
}

func conceptRow(t *table) ([]any, error) { return rowOf(t, conceptFields) }

// relationshipRow leaves out what mapping does not ask for: of some 50 million
// relationships a tenth is left.
func relationshipRow(t *table) ([]any, error) {
	if t.text("relationship_id") != "Maps to" || t.text("invalid_reason") != "" {
		return nil, nil
	}
	return rowOf(t, relationshipFields)
}

func rowOf(t *table, fields []string) ([]any, error) {
	values := make([]any, len(fields))
	for i, name := range fields {
		var err error
		switch name {
		case "concept_id", "concept_id_1", "concept_id_2",
			"ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation", "max_levels_of_separation":
			values[i], err = t.id(name)
		case "valid_start_date", "valid_end_date":
			values[i], err = t.day(name)
		case "standard_concept", "invalid_reason":
			if t.text(name) != "" {
				values[i] = t.text(name)
			}
		default:
			values[i] = t.text(name)
		}
		if err != nil {
			return nil, err
		}
		if s, ok := values[i].(string); ok && len([]rune(s)) > textLimits[name] {
			return nil, t.fail(fmt.Sprintf("%s is longer than %d characters", name, textLimits[name]))
		}
	}
	return values, nil
}
