package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/eventindex"
)

const cohortIndexText = `the event index of --persons people with some 35 events each, of 3 years. cohort-index:
seconds that its build takes for 1,000,000 people, scaled from those that there are,
at most 60 (reference: seconds in which as many events were stored before). -size: MiB
on disk, at most 30 % of the store's, which are the reference (SQLite only). -update:
seconds from a question until it can be answered, after 10,000 rows about 1,000 of the
people were stored, at most 1 (reference: seconds that storing them took). -memory: MiB
by which the heap grows while a question reads all that was measured and dispensed, people
part by part, at most 256 whatever their number, and -question: its seconds, at most 1.25
times those of all people at once (reference of both).`

// Bars of cohort-index.
const (
	buildBar  = 60   // s for people of buildPersons
	sizeBar   = 0.30 // of the store
	updateBar = 1    // s
)

const buildPersons = 1_000_000

// Made up for a batch, and for the update.
const (
	indexBatch   = 100 // persons
	updateRows   = 10_000
	updatePeople = 1_000
)

func cohortIndex(ctx context.Context, cfg Config) (figures []Figure, err error) {
	if cfg.Persons == 0 {
		cfg.Persons = 20_000
	}
	dir, err := os.MkdirTemp(cfg.Dir, "trialmesh-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx, cfg); err != nil {
		return nil, err
	}
	words, err := vocab.Open(ctx, s.db)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	stored, err := s.people35(ctx, cfg)
	if err != nil {
		return nil, err
	}
	storing := time.Since(begun)
	cfg.Progress(fmt.Sprintf("indexing %d events", stored))
	folder := filepath.Join(dir, "index")
	x, err := eventindex.Open(eventindex.Config{Dir: folder, DB: s.db, Store: s.people, Vocabulary: words})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	scale := buildPersons / float64(cfg.Persons)
	builds := make([]float64, rounds)
	for i := range builds {
		begun := time.Now()
		if err := x.Rebuild(ctx); err != nil {
			return nil, err
		}
		builds[i] = time.Since(begun).Seconds() * scale
	}
	figures = append(figures, NewFigure("cohort-index", Median(builds), "s/1M persons").
		Beside("storing the events", storing.Seconds()*scale).AtMost(cfg.BarOr(buildBar)))
	if s.db.Dialect() == sqldb.SQLite {
		size, err := s.size(ctx)
		if err != nil {
			return nil, err
		}
		figures = append(figures, NewFigure("cohort-index-size", float64(x.Status().Bytes)/(1<<20), "MiB").
			Beside("the SQLite file", size/(1<<20)).AtMost(sizeBar*size/(1<<20)))
	}
	update, err := s.update(ctx, cfg, x)
	if err != nil {
		return nil, err
	}
	asked, err := inParts(ctx, x)
	return append(append(figures, update), asked...), err
}

// size is that of the SQLite file in bytes.
func (s *site) size(ctx context.Context) (size float64, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT CAST(page_count * page_size AS REAL) FROM pragma_page_count(), pragma_page_size()").Scan(&size)
	})
	return size, err
}

// people35 stores people and returns how many rows they have.
func (s *site) people35(ctx context.Context, cfg Config) (rows int, err error) {
	for from := 0; from < cfg.Persons; from += indexBatch {
		if from%(50*indexBatch) == 0 {
			cfg.Progress(fmt.Sprintf("storing %d of %d people", from, cfg.Persons))
		}
		b := omop.Batch{Mapper: "bench", At: time.Now(), Position: int64(from)}
		b.Raw[0], b.Raw[1], b.Raw[2], b.Raw[3] = byte(from), byte(from>>8), byte(from>>16), byte(from>>24) //nolint:gosec // a name
		for p := from; p < min(from+indexBatch, cfg.Persons); p++ {
			addPerson(&b, p)
		}
		if err := s.put(ctx, b); err != nil {
			return 0, err
		}
		rows += len(b.Visits) + len(b.Conditions) + len(b.Drugs) + len(b.Measurements)
	}
	return rows, nil
}

func (s *site) put(ctx context.Context, b omop.Batch) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := s.people.Put(ctx, tx, b)
		return err
	})
}

// Concepts of what the people have, in the range that OMOP leaves to sites.
const (
	visitConcepts     = 2_100_000_000
	conditionConcepts = 2_100_001_000
	drugConcepts      = 2_100_002_000
	measuredConcepts  = 2_100_003_000
	unitConcepts      = 2_100_004_000
	ehrType           = 32817
)

// addPerson makes up a person: on average 4 visits, 1 condition, 5 dispensings and 25
// measurements, as of the people of simulations/population.
func addPerson(b *omop.Batch, p int) {
	r := rand.New(rand.NewPCG(seed, uint64(p))) //nolint:gosec // data to measure with
	name := strconv.Itoa(p)
	key := omop.NewKey(name)
	first := sqldb.Day(2023, time.January, 1)
	b.Persons = append(b.Persons, omop.Person{
		Key: key, GenderConceptID: omop.Male + int64(r.IntN(2))*(omop.Female-omop.Male), YearOfBirth: 1930 + r.IntN(80), MonthOfBirth: 1 + r.IntN(12), DayOfBirth: 1 + r.IntN(28),
		RaceConceptID: 8527, SourceValue: name,
	})
	b.Periods = append(b.Periods, omop.ObservationPeriod{Person: key, Start: first, End: first + 3*365, TypeConceptID: ehrType})
	record := func(kind string, i int, visit string) omop.Record {
		return omop.Record{Key: omop.NewKey(name + kind + strconv.Itoa(i)), Person: key, Visit: omop.NewKey(visit), Pointer: "line " + strconv.Itoa(p+i)}
	}
	if r.IntN(2) == 0 {
		for range 1 + r.IntN(3) {
			b.Conditions = append(b.Conditions, omop.Condition{Record: record("c", len(b.Conditions), ""), ConceptID: conditionConcepts + int64(r.IntN(400)), Start: first + omop.Date(r.IntN(1000)), TypeConceptID: ehrType, SourceValue: "I10"})
		}
	}
	visits := 2 + r.IntN(5)
	for v := range visits {
		visit := name + "v" + strconv.Itoa(v)
		on := first + omop.Date(v*1000/visits+r.IntN(100))
		b.Visits = append(b.Visits, omop.Visit{Record: record("v", v, ""), ConceptID: visitConcepts + int64(r.IntN(3)), Start: on, End: on, TypeConceptID: ehrType})
		for i := range 1 + r.IntN(2) {
			d := r.IntN(100)
			b.Drugs = append(b.Drugs, omop.Drug{Record: record("d", 10*v+i, visit), ConceptID: drugConcepts + int64(d), Start: on, End: on + 30, DaysSupply: new(30), TypeConceptID: ehrType, SourceValue: "314076"})
		}
		for i := range 4 + r.IntN(5) {
			m := r.IntN(60)
			value := float64(r.IntN(2000)) / 10
			b.Measurements = append(b.Measurements, omop.Measurement{
				Record: record("m", 10*v+i, visit), ConceptID: measuredConcepts + int64(m), Start: on, StartTime: on.Time(), TypeConceptID: ehrType,
				Number: &value, UnitConceptID: unitConcepts + int64(m%20), UnitSource: "mm[Hg]", SourceValue: "8480-6",
			})
		}
	}
}

// update stores rows about some of the people and asks at once.
func (s *site) update(ctx context.Context, cfg Config, x *eventindex.Index) (Figure, error) {
	var waits, loads []float64
	for round := range rounds {
		cfg.Progress(fmt.Sprintf("update, round %d of %d", round+1, rounds))
		people := min(updatePeople, cfg.Persons)
		begun := time.Now()
		for part := range 10 {
			b := omop.Batch{Mapper: "bench", At: time.Now(), Position: int64(cfg.Persons + 10*round + part)}
			b.Raw[31], b.Raw[30], b.Raw[29] = byte(part), byte(round), 1 //nolint:gosec // a name
			for i := range updateRows / 10 {
				p := (i%(people/10) + part*people/10) * (cfg.Persons / people)
				name := strconv.Itoa(p)
				value := float64(round)
				b.Measurements = append(b.Measurements, omop.Measurement{
					Record:    omop.Record{Key: omop.NewKey(fmt.Sprint(name, "u", round, i)), Person: omop.NewKey(name), Pointer: "line"},
					ConceptID: measuredConcepts + int64(i%60), Start: sqldb.Day(2025, time.May, 1), TypeConceptID: ehrType, Number: &value, UnitConceptID: unitConcepts,
				})
			}
			if err := s.put(ctx, b); err != nil {
				return Figure{}, err
			}
		}
		loads = append(loads, time.Since(begun).Seconds())
		begun = time.Now()
		snapshot, err := x.Snapshot(ctx)
		if err != nil {
			return Figure{}, err
		}
		waits = append(waits, time.Since(begun).Seconds())
		snapshot.Close()
	}
	return NewFigure("cohort-index-update", Median(waits), "s").Beside("storing the rows", Median(loads)).AtMost(updateBar), nil
}
