package analysis

import (
	"errors"
	"fmt"
)

// Outcome is what a method in rounds came to.
type Outcome struct {
	Result any // the method's own result type
	Rounds int // sums that were taken
}

// Local runs a method over the frames of several sites in this process, through the
// same words as a network would: what tests of a method are written with.
func Local(method Iteration, sites ...*Frame) (Outcome, error) {
	if len(sites) == 0 {
		return Outcome{}, errors.New("analysis: no sites")
	}
	state, err := method.Start()
	if err != nil {
		return Outcome{}, err
	}
	for round := 1; round <= MaxRounds; round++ {
		var sum []uint64
		for i, frame := range sites {
			words, err := method.Site(state, frame)
			if err != nil {
				return Outcome{}, fmt.Errorf("round %d, site %d: %w", round, i, err)
			}
			if sum == nil {
				sum = make([]uint64, len(words))
			}
			for k, w := range words {
				sum[k] += w
			}
		}
		step, err := method.Next(state, sum, len(sites))
		if err != nil {
			return Outcome{Rounds: round}, fmt.Errorf("round %d: %w", round, err)
		}
		if step.Result != nil {
			return Outcome{Result: step.Result, Rounds: round}, nil
		}
		state = step.State
	}
	return Outcome{Rounds: MaxRounds}, NoResult(fmt.Sprintf("no result after %d rounds", MaxRounds))
}
