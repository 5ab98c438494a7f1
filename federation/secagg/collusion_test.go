package secagg_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// league is a hub with the first members of a session on its side. It shows each honest member
// a roster and tells it survivors of its choice, and then what it told the others as well.
type league struct {
	network
	members   []*secagg.Member
	colluders int
	rosters   []secagg.Roster
	shown     []int            // to each member, of rosters
	told      [][]identity.DID // each member, as the survivors

	masked   map[int]map[identity.DID]secagg.Masked // by roster
	revealed map[int][][]identity.DID               // for which survivors, by member
}

// play gets out of the honest members what they give.
func (l *league) play() {
	ctx := context.Background()
	l.masked, l.revealed = make(map[int]map[identity.DID]secagg.Masked), make(map[int][][]identity.DID)
	for r, roster := range l.rosters {
		l.masked[r] = make(map[identity.DID]secagg.Masked)
		for i, s := range l.sites {
			if m, err := l.members[i].Mask(ctx, roster, []uint64{0}); err == nil && (!l.honest(i) || l.shown[i] == r) {
				l.masked[r][s.did()] = m
			}
		}
	}
	confirmed := make([][]secagg.Confirmation, len(l.sites)) // what each was told
	for i := range l.sites {
		for _, of := range l.order(i) {
			if c, err := l.members[i].Confirm(ctx, l.rosters[l.shown[of]], l.told[of]); err == nil {
				confirmed[of] = append(confirmed[of], c)
			}
		}
	}
	for i, s := range l.sites[l.colluders:] {
		for _, of := range l.order(i + l.colluders) {
			inbox := l.inbox(l.shown[of], l.told[of], s.did())
			if _, err := l.members[i+l.colluders].Unmask(ctx, l.rosters[l.shown[of]], l.told[of], confirmed[of], inbox); err == nil {
				l.revealed[i+l.colluders] = append(l.revealed[i+l.colluders], l.told[of])
			}
		}
	}
}

// order is in which a member hears what was told to whom.
func (l *league) order(i int) []int {
	list := slices.Collect(indices(len(l.sites)))[l.colluders:]
	if l.honest(i) {
		list[0], list[i-l.colluders] = list[i-l.colluders], list[0]
	}
	return list
}

// inbox holds the boxes for a member that there are.
func (l *league) inbox(r int, survivors []identity.DID, to identity.DID) secagg.Inbox {
	var sent []secagg.Masked
	for _, of := range survivors {
		if m, has := l.masked[r][of]; has {
			sent = append(sent, m)
		}
	}
	inboxes, err := secagg.Inboxes(l.session, l.rosters[r], sent)
	if err != nil {
		return secagg.Inbox{}
	}
	return inboxes[to]
}

func (l *league) honest(i int) bool { return i >= l.colluders }

// careless is the guard of a member in league.
type careless struct{}

func (careless) Once(context.Context, message.Digest, string, message.Digest) error { return nil }

// gather makes the members.
func (l *league) gather(t require.TestingT) {
	for i, s := range l.sites {
		var guard secagg.Guard = s.guard
		if !l.honest(i) {
			guard = careless{}
		}
		m, err := secagg.NewMember(s.secret, l.session, s.key, guard)
		require.NoError(t, err)
		l.members = append(l.members, m)
	}
}

// on reports whether the member is on the roster that i was shown.
func (l *league) on(i, member int) bool {
	return slices.ContainsFunc(l.rosters[l.shown[i]].Members, func(a secagg.Advertisement) bool { return a.From == l.sites[member].did() })
}

// gives reports whether an honest member has revealed for survivors with the other, or without.
func (l *league) gives(i, other int, with bool) bool {
	return slices.ContainsFunc(l.revealed[i], func(survivors []identity.DID) bool {
		return slices.Contains(survivors, l.sites[other].did()) == with
	})
}

// ownMaskKnown reports whether the hub can rebuild an honest member's own mask: those in league
// have their shares of it.
func (l *league) ownMaskKnown(i int) bool {
	shares := 0
	for j := range l.sites {
		if l.honest(j) && l.shown[j] == l.shown[i] && l.gives(j, i, true) || !l.honest(j) && l.on(i, j) {
			shares++
		}
	}
	return shares >= l.session.Threshold
}

// learned returns the sums that the hub can read: of honest members whose own masks it knows,
// and who have unknown masks among each other only.
func (l *league) learned() (sums [][]int) {
	seen := make(map[int]bool)
	for i, s := range l.sites {
		if _, sent := l.masked[l.shown[i]][s.did()]; !l.honest(i) || !sent || seen[i] {
			continue
		}
		sum, readable := []int{i}, true
		seen[i] = true
		for at := 0; at < len(sum); at++ {
			a := sum[at]
			readable = readable && l.ownMaskKnown(a)
			for b := range l.sites {
				if b == a || !l.honest(b) || !l.on(a, b) || l.gives(a, b, false) {
					continue
				}
				if l.shown[a] != l.shown[b] {
					readable = false // a's mask with b is nowhere else
				} else if !l.gives(b, a, false) && !seen[b] {
					seen[b] = true
					sum = append(sum, b)
				}
			}
		}
		if readable {
			sums = append(sums, sum)
		}
	}
	return sums
}

// roster returns the one of some members.
func (l *league) roster(t require.TestingT, members []int) secagg.Roster {
	var list []secagg.Advertisement
	for _, i := range members {
		a, err := l.members[i].Advertise(context.Background())
		require.NoError(t, err)
		list = append(list, a)
	}
	roster, err := secagg.NewRoster(l.session, list)
	require.NoError(t, err)
	return roster
}

func (l *league) names(members []int) (dids []identity.DID) {
	for _, i := range slices.Sorted(slices.Values(members)) {
		dids = append(dids, l.sites[i].did())
	}
	return dids
}

// TestLeagueLearnsOneSumAtMost: whatever a hub tells whom, with as many members on its side as
// the threshold bears, it reads one sum, and over no fewer than the session demands. The hub
// goes about it as one that means to: it takes the honest members in two parts, and tells
// each that this part survived with those in league and as few of the others as it can, or everybody.
func TestLeagueLearnsOneSumAtMost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 6).Draw(t, "members")
		l := league{network: newNetwork(n, 1)}
		l.session.Threshold = rapid.IntRange(secagg.Majority(n), n).Draw(t, "threshold")
		least := max(l.session.Threshold, l.session.MinMembers)
		l.colluders = min(2*l.session.Threshold-n-1, n-2)
		l.gather(t)
		honest := rapid.Permutation(slices.Collect(indices(n))[l.colluders:]).Draw(t, "honest")
		cut := rapid.IntRange(1, len(honest)-1).Draw(t, "cut")
		sides := [][]int{honest[:cut], honest[cut:]}
		rosters := rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "rosters")
		whole := make([][]int, 2)
		part := make([][]int, 2)
		for k, side := range sides {
			others := append(slices.Collect(indices(l.colluders)), rapid.Permutation(sides[1-k]).Draw(t, "others")...)
			least := min(max(least, len(side)+l.colluders), n)
			part[k] = append(slices.Clone(side), others[:least-len(side)]...)
			whole[k] = slices.Collect(indices(n))
			if rosters == 2 {
				whole[k] = append(slices.Clone(side), others[:rapid.IntRange(least-len(side), len(others)).Draw(t, "on")]...)
			}
			slices.Sort(whole[k])
			l.rosters = append(l.rosters, l.roster(t, whole[k]))
		}
		l.shown, l.told = make([]int, n), make([][]identity.DID, n)
		for k, side := range sides {
			for _, i := range side {
				if rosters == 2 {
					l.shown[i] = k
				}
				l.told[i] = l.names(part[k])
				if rapid.Bool().Draw(t, "whole") {
					l.told[i] = l.names(whole[l.shown[i]])
				}
			}
		}
		l.play()
		sums := l.learned()
		require.LessOrEqual(t, len(sums), 1)
		for _, sum := range sums {
			require.GreaterOrEqual(t, len(sum)+l.colluders, least)
		}
	})
}

// TestLeagueBeyondTheBound: two of four and a hub read the other two.
func TestLeagueBeyondTheBound(t *testing.T) {
	t.Parallel()
	l := league{network: newNetwork(4, 1), colluders: 2, shown: make([]int, 4)}
	l.gather(t)
	l.rosters = []secagg.Roster{l.roster(t, []int{0, 1, 2, 3})}
	l.told = [][]identity.DID{nil, nil, l.names([]int{0, 1, 2}), l.names([]int{0, 1, 3})}
	l.play()
	require.Equal(t, [][]int{{2}, {3}}, l.learned())
}
