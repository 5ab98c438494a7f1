package analysis

import "github.com/trialmesh/trialmesh/protocol/query"

func (c comparison) Site(s comparisonState, f *Frame, sums *Sums) error {
	if err := c.check(s); err != nil {
		return err
	}
	if s.Stage == comparingScore {
		return c.score.Site(s.Score, f, sums)
	}
	rows, err := c.score.scored(s.Score, f)
	if err != nil {
		return err
	}
	read := c.reader(f)
	weights, clusters := c.score.weights(s.Score, rows)
	switch s.Stage {
	case comparingTable:
		for i, arm := range rows.arm {
			part := 0
			switch {
			case c.Adjustment == query.Stratified:
				part = stratum(s.Score.Cuts, c.score.chance(rows.linear[i]))
			case weights[i] == 0 && !s.Outside:
				continue
			case weights[i] == 0:
				part = 1
			}
			row, _ := read(i)
			place := ((part*2+arm)*c.grid.points()+row.stop)*2 + zeroOne(row.event)
			if at := place - s.Table.Taken; 0 <= at && at < sums.Len() {
				sums.Add(at, 1)
			}
		}
	case comparingWeights:
		for i, arm := range rows.arm {
			row, _ := read(i)
			if at := timeOf(s.Times, row.stop); at < len(s.Times) {
				sums.Add(4*at+2*arm+zeroOne(row.event), weights[i])
			}
		}
	case comparingScores:
		c.addScores(s, read, rows, weights, clusters, sums)
	case comparingPairs:
		addPairs(read, rows, clusters, sums)
	}
	return nil
}

func zeroOne(b bool) int {
	if b {
		return 1
	}
	return 0
}

// timeOf returns the place of the time that a point counts as.
func timeOf(times []armTimes, point int) int {
	return firstIn(times, func(t armTimes) bool { return t.Last >= point })
}

// addScores adds the squares of the weighted scores, those of a pair taken together.
func (c comparison) addScores(s comparisonState, read func(int) (spell, bool), rows scoredRows, weights []float64, clusters []int, sums *Sums) {
	scores := newArmScores(s.Times, s.Log, c.Ties)
	together := make(map[int]float64)
	for i, arm := range rows.arm {
		row, _ := read(i)
		at := timeOf(s.Times, row.stop)
		if weights[i] == 0 || at == len(s.Times) {
			continue
		}
		score := weights[i] * scores.of(arm, at, row.event)
		if clusters == nil {
			sums.Add(0, score*score)
			continue
		}
		together[clusters[i]] += score
	}
	for _, score := range together { // sums are exact, so that their order does not matter
		sums.Add(0, score*score)
	}
}

// addPairs counts the events of untreated and treated that come while the other of the pair
// is still watched. In a stratum of two no others tell anything.
func addPairs(read func(int) (spell, bool), rows scoredRows, clusters []int, sums *Sums) {
	first := make(map[int]int)
	for i, pair := range clusters {
		other, known := first[pair]
		switch {
		case pair < 0:
		case !known:
			first[pair] = i
		default:
			a, _ := read(i)
			b, _ := read(other)
			if a.event && b.stop >= a.stop {
				sums.Add(rows.arm[i], 1)
			}
			if b.event && a.stop >= b.stop {
				sums.Add(rows.arm[other], 1)
			}
		}
	}
}
