package members

import "math/bits"

// Attrition says what the inclusion rules leave, for all events that the rules are tried on
// and for the best one of each person: that for which the most rules hold, then that for
// which the earliest one does, then the first.
type Attrition struct {
	Rules           int
	Events, Persons int64            // before any rule
	ByEvent, ByBest map[uint64]int64 // how many there are for which just these rules hold, rule i as bit i
}

func newAttrition(rules int) *Attrition {
	return &Attrition{Rules: rules, ByEvent: map[uint64]int64{}, ByBest: map[uint64]int64{}}
}

// Passed is how far a person gets.
type Passed struct {
	Person uint32 // ordinal of events.People
	Rules  int    // that hold in turn, from the first, for the person's best event
}

// add counts a person's events, and returns the rules that hold for the best one.
func (a *Attrition) add(list []entered) (held uint64) {
	best := &list[0]
	for i := range list {
		e := &list[i]
		a.ByEvent[e.mask]++
		if better(e, best) {
			best = e
		}
	}
	a.ByBest[best.mask]++
	a.Events += int64(len(list))
	a.Persons++
	return best.mask
}

func better(a, b *entered) bool {
	n, m := bits.OnesCount64(a.mask), bits.OnesCount64(b.mask)
	if n != m {
		return n > m
	}
	if i, j := bits.TrailingZeros64(a.mask), bits.TrailingZeros64(b.mask); i != j {
		return i < j
	}
	return a.start < b.start
}

func (a *Attrition) merge(b *Attrition) {
	for mask, n := range b.ByEvent {
		a.ByEvent[mask] += n
	}
	for mask, n := range b.ByBest {
		a.ByBest[mask] += n
	}
	a.Events += b.Events
	a.Persons += b.Persons
}

// Rule is what one inclusion rule leaves.
type Rule struct {
	Held   int64 // for which the rule holds
	Gained int64 // that would be added without the rule: for which all others hold
}

// Of returns the rules of a count by mask, ByEvent or ByBest, and for how many all hold.
func (a *Attrition) Of(masks map[uint64]int64) (rules []Rule, all int64) {
	full := uint64(1)<<a.Rules - 1
	rules = make([]Rule, a.Rules)
	for i := range rules {
		for mask, n := range masks {
			if mask&(1<<i) != 0 {
				rules[i].Held += n
			}
		}
		rules[i].Gained = masks[full&^(1<<i)]
	}
	return rules, masks[full]
}
