package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
)

const maskText = `what masking costs among 10 nodes. mask-count: milliseconds of processor time of one node
for a whole masked sum of the length of a count, its three steps with all keys, shares
and signatures, at most 5 (reference: the hub's part). mask-glm: the same for the length
of a logistic regression's round. mask-count-N, mask-glm-N: the same among N nodes
(--nodes), without a bar. mask-logistic: seconds of a logistic regression over
10 nodes, each with a round trip of 50 ms to the hub, at most 5 (reference: the round
trips that it takes). mask-logistic-rounds: the sums that it took.`

const (
	maskNodes     = 10
	maskBar       = 5 // ms
	logisticBar   = 5 // s
	logisticTrip  = 50 * time.Millisecond
	maskRuns      = 25
	stepsOfRound  = 3 // advance, mask, unmask: a round trip each
	logisticTimes = 3
)

func mask(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	lengths, err := vectorLengths()
	if err != nil {
		return nil, err
	}
	var figures []bench.Figure
	for _, nodes := range append([]int{maskNodes}, cfg.Nodes...) {
		for i, of := range []string{"count", "glm"} {
			cfg.Progress(fmt.Sprintf("masking the vectors of a %s among %d nodes", of, nodes))
			member, hub, err := masking(ctx, nodes, lengths[i])
			if err != nil {
				return nil, err
			}
			f := bench.NewFigure("mask-"+of, member, "ms").Beside("the hub's part", hub)
			switch {
			case len(figures) == 0:
				f = f.AtMost(cfg.BarOr(maskBar))
			case len(figures) == 1:
				f = f.AtMost(maskBar)
			default:
				f.Name = fmt.Sprintf("%s-%d", f.Name, nodes)
			}
			cfg.Measured(f)
			figures = append(figures, f)
		}
	}
	err = with(ctx, cfg, network.Config{Nodes: maskNodes, RoundTrip: logisticTrip}, func(n *network.Network) error {
		logistic, err := regression(ctx, cfg, n)
		figures = append(figures, logistic...)
		return err
	})
	return figures, err
}

// vectorLengths returns how many words a count and a round of a regression sum.
func vectorLengths() ([2]int, error) {
	count, err := analysis.For(query.Request{Analysis: network.Count})
	if err != nil {
		return [2]int{}, err
	}
	method, err := analysis.InRounds(network.Logistic, network.Policy().MinCell)
	if err != nil {
		return [2]int{}, err
	}
	state, err := method.Start()
	if err != nil {
		return [2]int{}, err
	}
	words, err := method.Words(state)
	return [2]int{count.Words(), words}, err
}

// regression asks for a logistic regression a few times.
func regression(ctx context.Context, cfg bench.Config, n *network.Network) ([]bench.Figure, error) {
	var took []float64
	rounds := 0
	for i := range 1 + times(cfg, logisticTimes) { // the first one warms up
		cfg.Progress(fmt.Sprintf("logistic regression %d of %d", i, times(cfg, logisticTimes)))
		begun := time.Now()
		q, err := n.Ask(ctx, 0, query.Request{Cohort: network.Cohort(i), Analysis: network.Logistic})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			took = append(took, time.Since(begun).Seconds())
		}
		rounds = q.Result.Rounds
	}
	return []bench.Figure{
		bench.NewFigure("mask-logistic", bench.Median(took), "s").
			Beside("its round trips", float64(rounds*stepsOfRound)*logisticTrip.Seconds()).AtMost(logisticBar),
		bench.NewFigure("mask-logistic-rounds", float64(rounds), "rounds"),
	}, nil
}

// remembers is a guard that keeps nothing: what its disk takes is no cost of masking.
type remembers struct{}

func (remembers) Once(context.Context, message.Digest, string, message.Digest) error { return nil }

// masking runs masked sums among some nodes and returns the processor time of one node
// and of the hub, in milliseconds for a sum.
func masking(ctx context.Context, nodes, words int) (member, hub float64, err error) {
	keys := make([]identity.Key, nodes)
	names := make([]identity.DID, nodes)
	for i := range keys {
		if keys[i], err = identity.Generate(rand.Reader); err != nil {
			return 0, 0, err
		}
	}
	slices.SortFunc(keys, func(a, b identity.Key) int { return cmp.Compare(a.DID(), b.DID()) })
	for i, key := range keys {
		names[i] = key.DID()
	}
	var members, hubs []float64
	for range maskRuns {
		var id query.ID
		if _, err := rand.Read(id[:]); err != nil {
			return 0, 0, err
		}
		s := sum{keys: keys, names: names, words: words}
		if err := s.run(ctx, id); err != nil {
			return 0, 0, err
		}
		members, hubs = append(members, milliseconds(s.members)/float64(nodes)), append(hubs, milliseconds(s.hub))
	}
	return bench.Median(members), bench.Median(hubs), nil
}

// sum is a masked sum whose parts are timed.
type sum struct {
	keys  []identity.Key // in the order of their names
	names []identity.DID
	words int

	members, hub time.Duration
}

var errSum = errors.New("the sum of the masked vectors is wrong")

// timed adds the processor time of fn to one part's.
func timed(to *time.Duration, fn func() error) error {
	begun := processor()
	err := fn()
	*to += processor() - begun
	return err
}

// each lets every node take a step.
func each[T any](s *sum, members []*secagg.Member, take func(i int, m *secagg.Member) (T, error)) ([]T, error) {
	out := make([]T, len(members))
	return out, timed(&s.members, func() (err error) {
		for i, m := range members {
			if out[i], err = take(i, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *sum) run(ctx context.Context, id query.ID) error {
	session, err := secagg.ForQuestion(id, s.names, disclosure.Default(), s.words)
	if err != nil {
		return err
	}
	members := make([]*secagg.Member, len(s.keys))
	for i, key := range s.keys {
		if members[i], err = secagg.NewMember([32]byte{byte(i), 1}, session, key, remembers{}); err != nil {
			return err
		}
	}
	advertised, err := each(s, members, func(_ int, m *secagg.Member) (secagg.Advertisement, error) { return m.Advertise(ctx) })
	if err != nil {
		return err
	}
	var roster secagg.Roster
	if err := timed(&s.hub, func() error { roster, err = secagg.NewRoster(session, advertised); return err }); err != nil {
		return err
	}
	vector := make([]uint64, s.words)
	for i := range vector {
		vector[i] = uint64(i) //nolint:gosec // not negative
	}
	masked, err := each(s, members, func(_ int, m *secagg.Member) (secagg.Masked, error) { return m.Mask(ctx, roster, vector) })
	if err != nil {
		return err
	}
	var inboxes map[identity.DID]secagg.Inbox
	if err := timed(&s.hub, func() error { inboxes, err = secagg.Inboxes(session, roster, masked); return err }); err != nil {
		return err
	}
	reveals, err := each(s, members, func(i int, m *secagg.Member) (secagg.Reveal, error) {
		return m.Unmask(ctx, roster, s.names, nil, inboxes[s.names[i]])
	})
	if err != nil {
		return err
	}
	var total []uint64
	if err := timed(&s.hub, func() error { total, err = secagg.Sum(session, roster, masked, reveals); return err }); err != nil {
		return err
	}
	for i, v := range total {
		if v != vector[i]*uint64(len(s.keys)) {
			return errSum
		}
	}
	return nil
}
