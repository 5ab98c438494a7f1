package extract

import (
	"encoding/hex"
	"time"

	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// Format is the version of manifests.
const Format = 1

// Manifest says what an extract holds, what was generalized and suppressed to make it,
// and what risk is left. It has counts and no value of a person.
type Manifest struct {
	Format        int       `json:"format"`
	Study         string    `json:"study"`
	Specification string    `json:"specification"` // SHA-256 of its text
	Program       string    `json:"program"`
	At            time.Time `json:"at"`
	AsOf          string    `json:"asOf"`            // day that ages are counted to and nothing comes after
	Trial         string    `json:"trial,omitempty"` // to whose consents it is limited
	Dates         string    `json:"dates"`

	Persons     Persons       `json:"persons"`
	Generalized []Generalized `json:"generalized"`
	Goal        Goal          `json:"goal"`
	Loss        float64       `json:"loss"` // see anonymity.Solution
	Tried       int           `json:"tried"`

	Measured  anonymity.Measured `json:"measured"`
	Risk      anonymity.Risk     `json:"risk"`
	Histories Histories          `json:"histories"`

	Tables []Written `json:"tables"`
}

// Persons counts persons.
type Persons struct {
	Store    int `json:"store"`    // all of the site
	Eligible int `json:"eligible"` // that the extract could hold
	Small    int `json:"suppressedForK"`
	Uniform  int `json:"suppressedForL"`
	Written  int `json:"written"`
}

// Generalized says how a quasi-identifier is written.
type Generalized struct {
	Attribute string `json:"attribute"`
	Level     string `json:"level"`
	Step      int    `json:"step"`  // of the hierarchy, 0 for the finest
	Steps     int    `json:"steps"` // of the coarsest
}

// Goal is what was asked for.
type Goal struct {
	K        int     `json:"k"`
	L        int     `json:"l,omitempty"`
	EntropyL float64 `json:"entropyL,omitempty"`
	Limit    float64 `json:"suppressionLimit"`
	Rare     int     `json:"rareConcepts,omitempty"`
}

// Histories says how much the events tell people apart, which k does not look at.
type Histories struct {
	// Unique is how many of the persons who were written have a set of concepts in their
	// events that nobody else in the extract has.
	Unique  int `json:"unique"`
	Persons int `json:"persons"`
}

// Written is a table of the extract.
type Written struct {
	File    string   `json:"file"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256,omitempty"` // empty of a dry run

	// Rows of the persons who were written that were left out: the concept is rare, the
	// day lies before the written year of birth or after the day of the extract.
	Rare   int64 `json:"leftOutRareConcept,omitempty"`
	Before int64 `json:"leftOutBeforeBirth,omitempty"`
	After  int64 `json:"leftOutAfterEnd,omitempty"`
	// Cut counts ends, and starts of observation periods, that were moved to the day of
	// the extract or the year of birth, and times that were left out for it.
	Cut int64 `json:"cut,omitempty"`
}

// describe fills the manifest.
func (w *writer) describe(all *people, kept int) {
	m, s := &w.manifest, w.solution
	*m = Manifest{
		Format: Format, Study: w.spec.Study, Specification: hex.EncodeToString(w.spec.Digest[:]), Program: w.cfg.Program,
		At: w.cfg.Now.UTC(), AsOf: w.asOf.String(), Trial: w.cfg.Trial, Dates: w.spec.Dates.String(),
		Persons:  Persons{Store: all.population.Records(), Eligible: all.table.Records(), Small: s.Small, Uniform: s.Uniform, Written: kept},
		Goal:     Goal{K: w.spec.Goal.K, L: w.spec.Goal.L, EntropyL: w.spec.Goal.EntropyL, Limit: w.spec.Goal.Limit, Rare: w.spec.Rare},
		Loss:     s.Loss,
		Tried:    s.Tried,
		Measured: s.Measure(), Risk: s.Risk(all.population),
		Histories: Histories{Persons: kept},
	}
	for i, a := range w.spec.attributes() {
		m.Generalized = append(m.Generalized, Generalized{a.Name, s.Level(i).Name, s.Levels[i], len(a.Levels) - 1})
	}
	for _, name := range quasiNames {
		if !w.spec.has(name) {
			m.Generalized = append(m.Generalized, Generalized{Attribute: name, Level: leftOut})
		}
	}
	for _, n := range w.histories {
		if n == 1 {
			m.Histories.Unique++
		}
	}
	for _, f := range w.all() {
		m.Tables = append(m.Tables, f.Written)
	}
}
