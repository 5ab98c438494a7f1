package bench

import (
	"context"
	"fmt"
	"strconv"
)

const curveText = `documents as of ingest-observations, until --points are stored and merged.
ingest-curve-N: microseconds that an observation costs by the clock when N are stored,
the median over what comes next; N grows tenfold. ingest-curve: the last of them
to the first, at most 1.5: a cost that doubles with fifty times the data is no longer
flat.`

// curveBar is how much dearer an observation may become.
const curveBar = 1.5

// Of a curve.
const (
	stepDocuments = 5 // of a step, merged before the next
	stepsMeasured = 5 // after each decade
)

func curve(ctx context.Context, cfg Config) ([]Figure, error) {
	documents := min(stepDocuments, max(1, cfg.Points/feedPoints/10))
	step := documents * feedPoints
	marks := []int{cfg.Points}
	for m := cfg.Points / 10; m >= step; m /= 10 {
		marks = append([]int{m}, marks...)
	}
	if len(marks) == 1 {
		marks = append([]int{step}, marks...)
	}
	var figures []Figure
	err := with(ctx, cfg, func(ctx context.Context, s *site) error {
		if err := s.peopleOfFeed(ctx); err != nil {
			return err
		}
		var f feed
		stored := 0
		one := func() (float64, error) {
			took, _, err := s.send(ctx, &f, documents)
			stored += step
			return float64(took.Microseconds()) / float64(step), err
		}
		for _, mark := range marks {
			for stored < mark {
				cfg.Progress(fmt.Sprintf("%d of %d points are stored", stored, cfg.Points))
				if _, err := one(); err != nil {
					return err
				}
			}
			var costs []float64
			at := stored
			for range stepsMeasured {
				cost, err := one()
				if err != nil {
					return err
				}
				costs = append(costs, cost)
			}
			figures = append(figures, NewFigure("ingest-curve-"+strconv.Itoa(at), Median(costs), "us/observation"))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	first, last := figures[0], figures[len(figures)-1]
	whole := NewFigure("ingest-curve", last.Value/first.Value, "last/first").AtMost(cfg.BarOr(curveBar))
	for i := range figures {
		figures[i] = figures[i].Beside(first.Name, first.Value)
	}
	return append([]Figure{whole}, figures...), nil
}
