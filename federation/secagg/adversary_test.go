package secagg_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// prepared is a session of five whose hub turns dishonest: every site has
// advertised, nothing else has happened, and honest holds what an honest hub
// would have sent (made by twins of the sites, with guards of their own).
type prepared struct {
	network
	honest  transcript
	vectors [][]uint64
}

func prepare(t *testing.T) prepared {
	t.Helper()
	return prepared{network: newNetwork(5, 2), vectors: fiveVectors, honest: honestRun()}
}

// without is a session of five of whom the last drops out before it sends its vector.
func without(t *testing.T) prepared {
	t.Helper()
	return prepared{network: newNetwork(5, 2), vectors: fiveVectors, honest: runWithout()}
}

var fiveVectors = [][]uint64{{0, 1}, {1, 2}, {2, 4}, {3, 8}, {4, 16}}

// honestRun and runWithout are played once; tests copy what they spoil.
var (
	honestRun = sync.OnceValue(func() transcript {
		return newNetwork(5, 2).run(panicking{}, fiveVectors, all(5))
	})
	runWithout = sync.OnceValue(func() transcript {
		return newNetwork(5, 2).run(panicking{}, fiveVectors, until{4, 4, 4, 4, 1})
	})
)

// panicking lets require fail where no test is at hand.
type panicking struct{}

func (panicking) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicking) FailNow()                          { panic("failed") }

// refusedBy requires the rule's error, and that its name survives the network.
func refusedBy(t *testing.T, rule, err error) {
	t.Helper()
	require.ErrorIs(t, err, rule)
	var p *problem.Error
	require.ErrorAs(t, rule, &p)
	require.Equal(t, p.Rule, problem.From(err).Rule)
}

func TestMemberRefusesRoster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  func(*testing.T, prepared, *secagg.Roster)
		want error
	}{
		"a swapped key":        {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[1].Key[3] ^= 1 }, secagg.ErrSignature},
		"a swapped commitment": {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[1].Commitment[3] ^= 1 }, secagg.ErrSignature},
		"keys of one member under another's name": {func(_ *testing.T, _ prepared, r *secagg.Roster) {
			name := r.Members[1].From
			r.Members[1] = r.Members[2]
			r.Members[1].From = name
		}, secagg.ErrSignature},
		"no signature":        {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[4].Signature = nil }, secagg.ErrSignature},
		"a repeated member":   {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[2] = r.Members[1] }, secagg.ErrRoster},
		"out of order":        {func(_ *testing.T, _ prepared, r *secagg.Roster) { slices.Reverse(r.Members) }, secagg.ErrRoster},
		"shrunken":            {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members = r.Members[:2] }, secagg.ErrTooFewMembers},
		"empty":               {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members = nil }, secagg.ErrTooFewMembers},
		"without this member": {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members = r.Members[1:] }, secagg.ErrRoster},
		"a foreign member with valid keys": {func(t *testing.T, p prepared, r *secagg.Roster) {
			other := p.session
			stranger := newSite(77)
			other.Members = slices.Clone(other.Members)
			other.Members[4] = stranger.did()
			slices.Sort(other.Members)
			a, err := stranger.member(t, other).Advertise(t.Context())
			require.NoError(t, err)
			r.Members[4] = a
			slices.SortFunc(r.Members, func(a, b secagg.Advertisement) int {
				if a.From < b.From {
					return -1
				}
				return 1
			})
		}, secagg.ErrRoster},
		"an advertisement of another session": {func(t *testing.T, p prepared, r *secagg.Roster) {
			other := p.session
			other.ID = message.Sum([]byte("yesterday's question"))
			a, err := p.sites[1].member(t, other).Advertise(t.Context())
			require.NoError(t, err)
			r.Members[1] = a
		}, secagg.ErrSession},
		"this member's keys from another secret": {func(t *testing.T, p prepared, r *secagg.Roster) {
			twin := p.sites[0]
			twin.secret = sha256.Sum256([]byte("another"))
			a, err := twin.member(t, p.session).Advertise(t.Context())
			require.NoError(t, err)
			r.Members[0] = a
		}, secagg.ErrRoster},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepare(t)
			roster := secagg.Roster{Members: slices.Clone(p.honest.roster.Members)}
			c.lie(t, p, &roster)
			m, x := p.member(t, 0), p.honest
			_, err := m.Mask(t.Context(), roster, p.vectors[0])
			refusedBy(t, c.want, err)
			_, err = m.Confirm(t.Context(), roster, x.survivors)
			refusedBy(t, c.want, err)
			_, err = m.Unmask(t.Context(), roster, x.survivors, nil, x.inboxes[p.sites[0].did()])
			refusedBy(t, c.want, err)
		})
	}
}

func TestMemberRefusesLowOrderKey(t *testing.T) {
	t.Parallel()
	// A member in league with the hub may sign a key that makes every agreement
	// zero. crypto/ecdh refuses it, and so does the round.
	p := prepare(t)
	r := secagg.Roster{Members: slices.Clone(p.honest.roster.Members)}
	r.Members[1].Key = secagg.PublicKey{}
	r.Members[1].Signature = p.sites[1].key.Sign(secagg.SignedForTest(r.Members[1]))
	_, err := p.member(t, 0).Mask(t.Context(), r, p.vectors[0])
	refusedBy(t, secagg.ErrRoster, err)
}

func TestMemberRefusesShares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  func(*testing.T, prepared, *secagg.Inbox)
		want error
	}{
		"a flipped bit": {func(_ *testing.T, _ prepared, in *secagg.Inbox) {
			in.Boxes[0] = slices.Clone(in.Boxes[0])
			in.Boxes[0][9] ^= 1
		}, secagg.ErrShare},
		"a truncated box": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes[0] = nil }, secagg.ErrShare},
		"two boxes swapped": {func(_ *testing.T, _ prepared, in *secagg.Inbox) {
			in.Boxes[0], in.Boxes[1] = in.Boxes[1], in.Boxes[0]
		}, secagg.ErrShare},
		"a box for somebody else": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			in.Boxes[0] = p.honest.masked[1].Boxes[1] // from the second to the third
		}, secagg.ErrShare},
		"this member's own box, reflected": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			in.Boxes[0] = p.honest.masked[0].Boxes[0]
		}, secagg.ErrShare},
		"a repeated box":     {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes[1] = in.Boxes[0] }, secagg.ErrShare},
		"the first left out": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes = in.Boxes[1:] }, secagg.ErrShare},
		"the last left out":  {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes = in.Boxes[:3] }, secagg.ErrShare},
		"none":               {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes = nil }, secagg.ErrShare},
		"one more":           {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes = append(in.Boxes, in.Boxes[3]) }, secagg.ErrShare},
		"another session":    {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Session[0] ^= 1 }, secagg.ErrSession},
		"replayed from another session": {func(t *testing.T, p prepared, in *secagg.Inbox) {
			other := p.network
			other.session.ID = message.Sum([]byte("yesterday's question"))
			in.Boxes = other.run(t, p.vectors, all(5)).inboxes[p.sites[0].did()].Boxes
		}, secagg.ErrShare},
		"replayed from another roster": {func(t *testing.T, p prepared, in *secagg.Inbox) {
			smaller := secagg.Roster{Members: p.honest.roster.Members[:4]}
			twin := p.sites[1]
			twin.guard = &memory{}
			s, err := twin.member(t, p.session).Mask(t.Context(), smaller, p.vectors[1])
			require.NoError(t, err)
			in.Boxes[0] = s.Boxes[0]
		}, secagg.ErrShare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepare(t)
			in := p.honest.inboxes[p.sites[0].did()]
			in.Boxes = slices.Clone(in.Boxes)
			c.lie(t, p, &in)
			m, x := p.member(t, 0), p.honest
			_, err := m.Unmask(t.Context(), x.roster, x.survivors, nil, in)
			refusedBy(t, c.want, err)
			_, err = m.Unmask(t.Context(), x.roster, x.survivors, nil, x.inboxes[p.sites[0].did()])
			require.NoError(t, err, "a refused lie does not spoil the truth")
			_, err = m.Unmask(t.Context(), x.roster, x.survivors, nil, in)
			refusedBy(t, c.want, err)
		})
	}
}

func TestMemberRefusesSurvivors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		survivors func(prepared) []identity.DID
		want      error
	}{
		"too few":             {func(p prepared) []identity.DID { return p.session.Members[:2] }, secagg.ErrTooFewMembers},
		"none":                {func(prepared) []identity.DID { return nil }, secagg.ErrTooFewMembers},
		"without this member": {func(p prepared) []identity.DID { return p.session.Members[1:] }, secagg.ErrSurvivors},
		"out of order": {func(p prepared) []identity.DID {
			s := slices.Clone(p.session.Members)
			slices.Reverse(s)
			return s
		}, secagg.ErrSurvivors},
		"one twice": {func(p prepared) []identity.DID {
			return append(slices.Clone(p.session.Members[:4]), p.session.Members[3])
		}, secagg.ErrSurvivors},
		"a stranger": {func(p prepared) []identity.DID {
			s := append(slices.Clone(p.session.Members), newSite(77).did())
			slices.Sort(s)
			return s
		}, secagg.ErrSurvivors},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepare(t)
			m, x := p.member(t, 0), p.honest
			in := x.inboxes[p.sites[0].did()]
			_, err := m.Confirm(t.Context(), x.roster, c.survivors(p))
			refusedBy(t, c.want, err)
			_, err = m.Unmask(t.Context(), x.roster, c.survivors(p), nil, in)
			require.Error(t, err)
			_, err = m.Unmask(t.Context(), x.roster, x.survivors, nil, in)
			require.NoError(t, err, "a refused lie does not spoil the truth")
		})
	}
}

func TestMemberRefusesConfirmations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  func(*testing.T, prepared, []secagg.Confirmation) []secagg.Confirmation
		want error
	}{
		"fewer than the threshold": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			return c[:2]
		}, secagg.ErrConfirmations},
		"none": {func(*testing.T, prepared, []secagg.Confirmation) []secagg.Confirmation { return nil }, secagg.ErrConfirmations},
		"one counted twice": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			return []secagg.Confirmation{c[0], c[1], c[1]}
		}, secagg.ErrConfirmations},
		"enough, and one twice": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			return append(c, c[1])
		}, secagg.ErrConfirmations},
		"a stranger's": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			c[0].From = newSite(77).did()
			return c
		}, secagg.ErrConfirmations},
		"a forged one": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			c[0].Signature = slices.Clone(c[1].Signature)
			return c
		}, secagg.ErrSignature},
		"of another session": {func(_ *testing.T, _ prepared, c []secagg.Confirmation) []secagg.Confirmation {
			c[0].Session[0] ^= 1
			return c
		}, secagg.ErrSession},
		"of other survivors": {func(t *testing.T, p prepared, _ []secagg.Confirmation) []secagg.Confirmation {
			return p.confirm(t, p.session.Members, 1, 2, 3)
		}, secagg.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := without(t)
			x := p.honest
			in := x.inboxes[p.sites[0].did()]
			_, err := p.member(t, 0).Unmask(t.Context(), x.roster, x.survivors, c.lie(t, p, slices.Clone(x.confirmations)), in)
			refusedBy(t, c.want, err)
			_, err = p.member(t, 0).Unmask(t.Context(), x.roster, x.survivors, x.confirmations, in)
			require.NoError(t, err)
		})
	}
}

// confirm has some sites confirm a set of survivors.
func (p prepared) confirm(t *testing.T, survivors []identity.DID, sites ...int) []secagg.Confirmation {
	t.Helper()
	var out []secagg.Confirmation
	for _, i := range sites {
		c, err := p.member(t, i).Confirm(t.Context(), p.honest.roster, survivors)
		require.NoError(t, err)
		out = append(out, c)
	}
	return out
}

// box is what a site gets of the boxes of some of the others.
func (p prepared) box(t *testing.T, i int, survivors []identity.DID) secagg.Inbox {
	t.Helper()
	masked := slices.DeleteFunc(slices.Clone(p.honest.masked), func(m secagg.Masked) bool { return !slices.Contains(survivors, m.From) })
	inboxes, err := secagg.Inboxes(p.session, p.honest.roster, masked)
	require.NoError(t, err)
	return inboxes[p.sites[i].did()]
}

// TestHubCannotUnmaskTwoSets splits the members: some are told that everybody
// survived, the others that one dropped out. With both answers the hub could
// take the masks off a single site's vector.
func TestHubCannotUnmaskTwoSets(t *testing.T) {
	t.Parallel()
	p := prepare(t)
	everyone, four := p.session.Members, p.session.Members[:4]
	x := p.honest
	told := p.confirm(t, four, 2, 3)
	for i := range 2 { // to whom it says that nobody dropped out, for which nobody is asked
		_, err := p.member(t, i).Unmask(t.Context(), x.roster, everyone, nil, p.box(t, i, everyone))
		require.NoError(t, err)
		_, err = p.member(t, i).Confirm(t.Context(), x.roster, four)
		refusedBy(t, secagg.ErrChanged, err)
	}
	for i := 2; i < 4; i++ {
		_, err := p.member(t, i).Unmask(t.Context(), x.roster, four, told, p.box(t, i, four))
		refusedBy(t, secagg.ErrConfirmations, err)
		_, err = p.member(t, i).Unmask(t.Context(), x.roster, everyone, nil, p.box(t, i, everyone))
		refusedBy(t, secagg.ErrChanged, err)
	}
}

// TestConfirmationsCoverWhatMembersSaw: members who were shown different rosters do not
// accept each other's confirmations, although the survivors are the same.
func TestConfirmationsCoverWhatMembersSaw(t *testing.T) {
	t.Parallel()
	w, v := newNetwork(6, 2), newNetwork(6, 2)
	vectors := append(slices.Clone(fiveVectors), []uint64{5, 32})
	shown := w.run(t, vectors, until{4, 4, 4, 4, 1, 1})
	others := v.run(t, vectors, until{4, 4, 4, 4, 1, 0})
	require.Equal(t, shown.survivors, others.survivors)
	for i, c := range others.confirmations {
		refusedBy(t, secagg.ErrSignature, c.Verify(w.session, shown.roster, shown.survivors))
		in := shown.inboxes[w.sites[i].did()]
		_, err := w.member(t, i).Unmask(t.Context(), shown.roster, shown.survivors, others.confirmations, in)
		refusedBy(t, secagg.ErrSignature, err)
	}
}

// TestMasksAreOfOneRoster: what members were shown under different rosters does not add up,
// so that a hub gains nothing by it.
func TestMasksAreOfOneRoster(t *testing.T) {
	t.Parallel()
	w, v := newNetwork(5, 2), newNetwork(5, 2)
	five := w.run(t, fiveVectors, all(5))
	four := v.run(t, fiveVectors, until{4, 4, 4, 4, 0})
	for i, m := range four.masked {
		for k, pair := range m.Pairs {
			require.NotEqual(t, five.masked[i].Pairs[k], pair, "another mask")
		}
	}
	in := five.inboxes[w.sites[0].did()]
	for k := range four.inboxes[w.sites[0].did()].Boxes {
		mixed := secagg.Inbox{Session: in.Session, Boxes: slices.Clone(in.Boxes)}
		mixed.Boxes[k] = four.inboxes[w.sites[0].did()].Boxes[k]
		_, err := w.member(t, 0).Unmask(t.Context(), five.roster, five.survivors, nil, mixed)
		refusedBy(t, secagg.ErrShare, err)
	}
}

// TestNeverShareAndMask has a hub with all confirmations it could wish for: of nobody it gets
// both a share of its own mask and the masks that others have with it.
func TestNeverShareAndMask(t *testing.T) {
	t.Parallel()
	p := prepare(t)
	x := p.honest
	four := p.session.Members[:4]

	reveal, err := p.member(t, 0).Unmask(t.Context(), x.roster, x.survivors, nil, p.box(t, 0, x.survivors))
	require.NoError(t, err)
	require.Len(t, reveal.Shares, 5)
	require.Empty(t, reveal.Seeds)

	// The other sites, as if they had lost their memory, confirm the other set.
	for i := range p.sites[1:] {
		p.sites[i+1].guard = &memory{}
	}
	confirmations := p.confirm(t, four, 1, 2, 3)
	_, err = p.member(t, 0).Unmask(t.Context(), x.roster, four, confirmations, p.box(t, 0, four)) // a member started anew
	refusedBy(t, secagg.ErrChanged, err)
	_, err = p.member(t, 0).Confirm(t.Context(), x.roster, four)
	refusedBy(t, secagg.ErrChanged, err)

	// And one that had acted on nothing yet.
	reveal, err = p.member(t, 1).Unmask(t.Context(), x.roster, four, confirmations, p.box(t, 1, four))
	require.NoError(t, err)
	require.Len(t, reveal.Shares, 4)
	require.Len(t, reveal.Seeds, 1)
}

func TestMemberActsOnceInASession(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*testing.T, prepared) error{
		"a second vector": func(t *testing.T, p prepared) error {
			_, err := p.member(t, 0).Mask(t.Context(), p.honest.roster, p.vectors[0])
			require.NoError(t, err)
			_, err = p.member(t, 0).Mask(t.Context(), p.honest.roster, []uint64{9, 9})
			return err
		},
		"a second roster": func(t *testing.T, p prepared) error {
			_, err := p.member(t, 0).Mask(t.Context(), p.honest.roster, p.vectors[0])
			require.NoError(t, err)
			_, err = p.member(t, 0).Mask(t.Context(), secagg.Roster{Members: p.honest.roster.Members[:4]}, p.vectors[0])
			return err
		},
		"a second session for the same question": func(t *testing.T, p prepared) error {
			_, err := p.member(t, 0).Advertise(t.Context())
			require.NoError(t, err)
			p.session.Members = p.session.Members[:4]
			_, err = p.member(t, 0).Advertise(t.Context())
			return err
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedBy(t, secagg.ErrChanged, step(t, prepare(t)))
		})
	}
}

// brokenGuard cannot write.
type brokenGuard struct{ err error }

func (g brokenGuard) Once(context.Context, message.Digest, string, message.Digest) error {
	return g.err
}

func TestNothingLeavesWithoutTheGuard(t *testing.T) {
	t.Parallel()
	p := prepare(t)
	full := errors.New("disk full")
	m, err := secagg.NewMember(p.sites[0].secret, p.session, p.sites[0].key, brokenGuard{full})
	require.NoError(t, err)
	x := p.honest
	in := x.inboxes[p.sites[0].did()]

	a, err := m.Advertise(t.Context())
	require.ErrorIs(t, err, full)
	require.Zero(t, a)
	v, err := m.Mask(t.Context(), x.roster, p.vectors[0])
	require.ErrorIs(t, err, full)
	require.Zero(t, v)
	c, err := m.Confirm(t.Context(), x.roster, x.survivors)
	require.ErrorIs(t, err, full)
	require.Zero(t, c)
	r, err := m.Unmask(t.Context(), x.roster, x.survivors, nil, in)
	require.ErrorIs(t, err, full)
	require.Zero(t, r)
}

func TestNewMemberRefuses(t *testing.T) {
	t.Parallel()
	w := newNetwork(5, 1)
	for name, c := range map[string]func(*secagg.Session){
		"no id":                   func(s *secagg.Session) { s.ID = message.Digest{} },
		"two members":             func(s *secagg.Session) { s.Members = s.Members[:2] },
		"a repeated member":       func(s *secagg.Session) { s.Members[1] = s.Members[0] },
		"members out of order":    func(s *secagg.Session) { slices.Reverse(s.Members) },
		"not a did":               func(s *secagg.Session) { s.Members[4] = "hospital" },
		"a minority as threshold": func(s *secagg.Session) { s.Threshold = 2 },
		"half as threshold":       func(s *secagg.Session) { s.Members = s.Members[:4]; s.Threshold = 2 },
		"more than all":           func(s *secagg.Session) { s.Threshold = 6 },
		"sums of two":             func(s *secagg.Session) { s.MinMembers = 2 },
		"sums of more than all":   func(s *secagg.Session) { s.MinMembers = 6 },
		"no words":                func(s *secagg.Session) { s.Words = 0 },
		"too many words":          func(s *secagg.Session) { s.Words = secagg.MaxWords + 1 },
		"without this member":     func(s *secagg.Session) { s.Members = s.Members[1:]; s.Threshold = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := w.session
			s.Members = slices.Clone(s.Members)
			c(&s)
			_, err := secagg.NewMember(w.sites[0].secret, s, w.sites[0].key, &memory{})
			refusedBy(t, secagg.ErrSession, err)
		})
	}
	_, err := secagg.NewMember([32]byte{}, w.session, w.sites[0].key, &memory{})
	require.Error(t, err, "no secret")
	_, err = secagg.NewMember(w.sites[0].secret, w.session, w.sites[0].key, nil)
	require.Error(t, err, "no guard")
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	w := newNetwork(3, 1)
	m := w.member(t, 0)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "secagg member:redacted", fmt.Sprintf(verb, m))
		require.Equal(t, "share:redacted", fmt.Sprintf(verb, secagg.Share{1, 2, 3, 4, 5}))
		require.Equal(t, "seed:redacted", fmt.Sprintf(verb, secagg.Seed{1, 2, 3}))
	}
}
