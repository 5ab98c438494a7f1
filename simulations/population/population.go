// Package population generates synthetic people as OMOP CDM 5.4 rows, any number of
// them, with conditions, drugs and measurements that hang together as in an adult
// population of the United States.
//
// Start from [New] and [Generator.All], or [Generator.Person] for one person alone. Person
// k depends on the seed and k only: not on the other people, on GOMAXPROCS or on the order
// of calls, so several workers may share a [Generator] and each make a part.
//
// model.go holds every coefficient with its source. The rows are plain structs
// with OMOP column names; writing them to a store is the caller's business. Nobody real
// is behind them, and nothing clinical may be concluded from them.
package population

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Config says whom to generate. Size is required.
type Config struct {
	Seed uint64
	Size int64 // persons, 1 to 1,000,000,000

	// End is the last day of observation. Defaults to 2025-12-31.
	End time.Time

	// Years is the length of observation before End, 1 to 20. Defaults to 3.
	// Conditions may have begun earlier.
	Years int
}

// Generator makes the people of one population. It is safe for concurrent use.
type Generator struct {
	seed       uint64
	size       int64
	start, end day
}

// New returns a generator, or an error if the configuration is out of bounds.
func New(cfg Config) (*Generator, error) {
	if cfg.End.IsZero() {
		cfg.End = time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	if cfg.Years == 0 {
		cfg.Years = 3
	}
	if cfg.Size < 1 || cfg.Size > 1_000_000_000 {
		return nil, fmt.Errorf("population: size %d is not within 1 and 1,000,000,000", cfg.Size)
	}
	if cfg.Years < 1 || cfg.Years > 20 {
		return nil, fmt.Errorf("population: %d years are not within 1 and 20", cfg.Years)
	}
	if y := cfg.End.Year(); y < 1990 || y > 2100 {
		return nil, errors.New("population: the end is not within 1990 and 2100")
	}
	end := dayOf(cfg.End)
	return &Generator{seed: cfg.Seed, size: cfg.Size, end: end, start: end - day(float64(cfg.Years)*daysPerYear) + 1}, nil
}

// Size is the number of people.
func (g *Generator) Size() int64 { return g.size }

// Person returns the history of person k, 0 <= k < Size.
func (g *Generator) Person(k int64) (History, error) {
	var h History
	return h, g.Fill(&h, k)
}

// Fill is Person into h, whose memory it uses again.
func (g *Generator) Fill(h *History, k int64) error {
	if k < 0 || k >= g.size {
		return fmt.Errorf("population: no person %d among %d", k, g.size)
	}
	g.fill(h, k)
	return nil
}

// All yields every history in order. The History is valid until the next
// step; Clone keeps it. Iteration stops early when ctx ends.
func (g *Generator) All(ctx context.Context) iter.Seq2[*History, error] {
	return func(yield func(*History, error) bool) {
		var h History
		for k := range g.size {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			g.fill(&h, k)
			if !yield(&h, nil) {
				return
			}
		}
	}
}
