package bench

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	inmemory "github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// cohortFiles are definitions with the SQL that circe-be makes of each, people whom they
// find, and the tables of the CDM.
//
//go:embed testdata/cohort
var cohortFiles embed.FS

const cohortFolder = "testdata/cohort"

// study is a definition with its SQL, and what evaluating it took.
type study struct {
	id         int64
	definition cohort.Definition
	sql        string

	ours, theirs []float64 // ms, a round each
}

// studies reads the definitions, by id.
func studies() ([]*study, error) {
	file, err := cohortFiles.Open(cohortFolder + "/definitions.tar.gz")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	byID := map[int64]*study{}
	for in := tar.NewReader(zipped); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		name, kind, _ := strings.Cut(header.Name, ".")
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, err
		}
		if byID[id] == nil {
			byID[id] = &study{id: id}
		}
		if kind == "sql" {
			byID[id].sql = string(text)
			continue
		}
		if byID[id].definition, err = cohort.Read(text); err != nil {
			return nil, fmt.Errorf("definition %d: %w", id, err)
		}
	}
	var all []*study
	for _, s := range byID {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *study) int { return cmp.Compare(a.id, b.id) })
	return all, nil
}

// entry is a row of a cohort.
type entry struct {
	person     int64
	start, end string // YYYY-MM-DD
}

// engine is ours, with a CDM in memory.
type engine struct {
	source     *inmemory.Source
	vocabulary *inmemory.Vocabulary
}

// readEngine reads what the definitions need of the CDM in a folder.
func readEngine(ctx context.Context, folder string, all []*study) (engine, error) {
	needs, sets := inmemory.Needs{}, []cohort.ConceptSet{}
	for _, s := range all {
		more, err := members.Needs(s.definition)
		if err != nil {
			return engine{}, fmt.Errorf("definition %d: %w", s.id, err)
		}
		needs.Add(more)
		sets = append(sets, s.definition.ConceptSets...)
	}
	vocabulary, err := inmemory.ReadVocabulary(ctx, inmemory.Folder(folder), sets)
	if err != nil {
		return engine{}, err
	}
	source, err := inmemory.Read(ctx, inmemory.Folder(folder), needs)
	return engine{source, vocabulary}, err
}

// entries evaluates a definition, and returns its rows and the milliseconds it took.
func (e engine) entries(ctx context.Context, s *study) (rows []entry, took float64, err error) {
	begun := time.Now()
	result, err := members.Evaluate(ctx, s.definition, e.source, e.vocabulary, members.Options{})
	took = milliseconds(begun)
	if err != nil {
		return nil, 0, fmt.Errorf("definition %d: %w", s.id, err)
	}
	people := e.source.People()
	for _, one := range result.Entries {
		rows = append(rows, entry{people.ID[one.Person], one.Start.String(), one.End.String()})
	}
	return rows, took, nil
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }
