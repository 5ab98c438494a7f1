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
	p := prepared{network: newNetwork(5, 2), vectors: fiveVectors, honest: honestRun()}
	p.honest.confirmations = slices.Clone(p.honest.confirmations)
	return p
}

var fiveVectors = [][]uint64{{0, 1}, {1, 2}, {2, 4}, {3, 8}, {4, 16}}

// honestRun is played once; tests copy what they spoil.
var honestRun = sync.OnceValue(func() transcript {
	return newNetwork(5, 2).run(panicking{}, fiveVectors, all(5))
})

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
		"a swapped channel key": {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[1].ChannelKey[3] ^= 1 }, secagg.ErrSignature},
		"a swapped mask key":    {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[1].MaskKey[3] ^= 1 }, secagg.ErrSignature},
		"a swapped commitment":  {func(_ *testing.T, _ prepared, r *secagg.Roster) { r.Members[1].Commitment[3] ^= 1 }, secagg.ErrSignature},
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
			_, err := p.member(t, 0).Share(t.Context(), roster)
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
	r.Members[1].ChannelKey = secagg.PublicKey{}
	r.Members[1].Signature = p.sites[1].key.Sign(secagg.SignedForTest(r.Members[1]))
	_, err := p.member(t, 0).Share(t.Context(), r)
	refusedBy(t, secagg.ErrRoster, err)
}

func TestMemberRefusesShares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  func(*testing.T, prepared, *secagg.Inbox)
		want error
	}{
		"a flipped bit": {func(_ *testing.T, _ prepared, in *secagg.Inbox) {
			in.Boxes[0].Ciphertext = slices.Clone(in.Boxes[0].Ciphertext)
			in.Boxes[0].Ciphertext[9] ^= 1
		}, secagg.ErrShare},
		"a truncated box": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes[0].Ciphertext = nil }, secagg.ErrShare},
		"two boxes swapped": {func(_ *testing.T, _ prepared, in *secagg.Inbox) {
			in.Boxes[0].Ciphertext, in.Boxes[1].Ciphertext = in.Boxes[1].Ciphertext, in.Boxes[0].Ciphertext
		}, secagg.ErrShare},
		"a box for somebody else": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			for _, b := range p.honest.shares[1].Boxes {
				if b.To == p.sites[2].did() {
					in.Boxes[0] = b
				}
			}
		}, secagg.ErrShare},
		"a box for somebody else, relabeled": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			for _, b := range p.honest.shares[1].Boxes {
				if b.To == p.sites[2].did() {
					in.Boxes[0] = b
					in.Boxes[0].To = p.sites[0].did()
				}
			}
		}, secagg.ErrShare},
		"a good box, mislabeled": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			in.Boxes[0].To = p.sites[2].did()
		}, secagg.ErrShare},
		"this member's own box, reflected": {func(_ *testing.T, p prepared, in *secagg.Inbox) {
			in.Boxes[0].Ciphertext = p.honest.shares[0].Boxes[0].Ciphertext
		}, secagg.ErrShare},
		"a repeated box": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes[1] = in.Boxes[0] }, secagg.ErrShare},
		"a stranger's box": {func(_ *testing.T, _ prepared, in *secagg.Inbox) {
			in.Boxes = []secagg.Box{in.Boxes[0], in.Boxes[1], in.Boxes[2]}
			in.Boxes[0].From = newSite(77).did()
			slices.SortFunc(in.Boxes, func(a, b secagg.Box) int {
				if a.From < b.From {
					return -1
				}
				return 1
			})
		}, secagg.ErrShare},
		"too few dealers": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Boxes = in.Boxes[:1] }, secagg.ErrTooFewMembers},
		"another session": {func(_ *testing.T, _ prepared, in *secagg.Inbox) { in.Session[0] ^= 1 }, secagg.ErrSession},
		"replayed from another session": {func(t *testing.T, p prepared, in *secagg.Inbox) {
			other := p.network
			other.session.ID = message.Sum([]byte("yesterday's question"))
			in.Boxes = other.run(t, p.vectors, all(5)).inboxes[p.sites[0].did()].Boxes
		}, secagg.ErrShare},
		"replayed from another roster": {func(t *testing.T, p prepared, in *secagg.Inbox) {
			smaller := secagg.Roster{Members: p.honest.roster.Members[:4]}
			twin := p.sites[1]
			twin.guard = &memory{}
			s, err := twin.member(t, p.session).Share(t.Context(), smaller)
			require.NoError(t, err)
			require.Equal(t, p.sites[0].did(), s.Boxes[0].To)
			in.Boxes[0] = s.Boxes[0]
		}, secagg.ErrShare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepare(t)
			in := p.honest.inboxes[p.sites[0].did()]
			in.Boxes = slices.Clone(in.Boxes)
			c.lie(t, p, &in)
			m := p.member(t, 0)
			_, err := m.Mask(t.Context(), p.honest.roster, in, p.vectors[0])
			refusedBy(t, c.want, err)

			// A member that opened the honest boxes before looks as closely.
			_, err = m.Mask(t.Context(), p.honest.roster, p.honest.inboxes[p.sites[0].did()], p.vectors[0])
			require.NoError(t, err)
			_, err = m.Confirm(t.Context(), p.honest.roster, in, p.session.Members)
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
			_, err := m.Confirm(t.Context(), x.roster, in, c.survivors(p))
			refusedBy(t, c.want, err)
			_, err = m.Unmask(t.Context(), x.roster, in, c.survivors(p), x.confirmations)
			require.Error(t, err)
			_, err = m.Confirm(t.Context(), x.roster, in, x.survivors)
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
			return p.confirm(t, p.session.Members[:4], 1, 2, 3)
		}, secagg.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := prepare(t)
			x := p.honest
			_, err := p.member(t, 0).Unmask(t.Context(), x.roster, x.inboxes[p.sites[0].did()], x.survivors,
				c.lie(t, p, slices.Clone(x.confirmations)))
			refusedBy(t, c.want, err)
		})
	}
}

// confirm has some sites confirm a set of survivors.
func (p prepared) confirm(t *testing.T, survivors []identity.DID, sites ...int) []secagg.Confirmation {
	t.Helper()
	var out []secagg.Confirmation
	for _, i := range sites {
		c, err := p.member(t, i).Confirm(t.Context(), p.honest.roster, p.honest.inboxes[p.sites[i].did()], survivors)
		require.NoError(t, err)
		out = append(out, c)
	}
	return out
}

// TestHubCannotUnmaskTwoSets splits the members: some are told that everybody
// survived, the others that one dropped out. With both answers the hub could
// take the masks off a single site's vector.
func TestHubCannotUnmaskTwoSets(t *testing.T) {
	t.Parallel()
	p := prepare(t)
	everyone, four := p.session.Members, p.session.Members[:4]
	told := append(p.confirm(t, everyone, 0, 1), p.confirm(t, four, 2, 3)...)
	x := p.honest
	for i := range 4 {
		in := x.inboxes[p.sites[i].did()]
		for _, survivors := range [][]identity.DID{everyone, four} {
			_, err := p.member(t, i).Unmask(t.Context(), x.roster, in, survivors, told)
			require.Error(t, err, "a mixed bag")
			_, err = p.member(t, i).Unmask(t.Context(), x.roster, in, survivors, told[:2])
			require.Error(t, err, "only one side's")
		}
	}
}

// TestConfirmationsCoverWhatMembersSaw: members who were shown different rosters
// or different dealers do not accept each other's confirmations, although the
// survivors are the same.
func TestConfirmationsCoverWhatMembersSaw(t *testing.T) {
	t.Parallel()
	// In the runs the last member falls silent after 0, 1 or 2 rounds.
	for name, c := range map[string]struct{ shown, others int }{
		"another set of dealers": {2, 1},
		"another roster":         {1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, v := newNetwork(5, 2), newNetwork(5, 2)
			shown := w.run(t, fiveVectors, until{5, 5, 5, 5, c.shown})
			others := v.run(t, fiveVectors, until{5, 5, 5, 5, c.others})
			require.Equal(t, shown.survivors, others.survivors)
			for i, c := range others.confirmations {
				refusedBy(t, secagg.ErrSignature, c.Verify(w.session, shown.roster, shown.dealers, shown.survivors))
				in := shown.inboxes[w.sites[i].did()]
				_, err := w.member(t, i).Unmask(t.Context(), shown.roster, in, shown.survivors, others.confirmations)
				refusedBy(t, secagg.ErrSignature, err)
			}
		})
	}
}

// TestNeverBothShares has a hub with all confirmations it could wish for.
func TestNeverBothShares(t *testing.T) {
	t.Parallel()
	p := prepare(t)
	x := p.honest
	four := p.session.Members[:4]
	in := x.inboxes[p.sites[0].did()]

	reveal, err := p.member(t, 0).Unmask(t.Context(), x.roster, in, x.survivors, x.confirmations)
	require.NoError(t, err)
	require.Empty(t, reveal.MaskKeys)

	// The same sites, as if they had lost their memory, confirm the other set.
	for i := range p.sites[1:] {
		p.sites[i+1].guard = &memory{}
	}
	confirmations := p.confirm(t, four, 1, 2, 3)
	_, err = p.member(t, 0).Unmask(t.Context(), x.roster, in, four, confirmations) // a member started anew
	refusedBy(t, secagg.ErrChanged, err)
	_, err = p.member(t, 0).Confirm(t.Context(), x.roster, in, four)
	refusedBy(t, secagg.ErrChanged, err)
}

func TestMemberActsOnceInASession(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*testing.T, prepared) error{
		"a second vector": func(t *testing.T, p prepared) error {
			x := p.honest
			in := x.inboxes[p.sites[0].did()]
			_, err := p.member(t, 0).Mask(t.Context(), x.roster, in, p.vectors[0])
			require.NoError(t, err)
			_, err = p.member(t, 0).Mask(t.Context(), x.roster, in, []uint64{9, 9})
			return err
		},
		"a second roster": func(t *testing.T, p prepared) error {
			_, err := p.member(t, 0).Share(t.Context(), p.honest.roster)
			require.NoError(t, err)
			_, err = p.member(t, 0).Share(t.Context(), secagg.Roster{Members: p.honest.roster.Members[:4]})
			return err
		},
		"a second inbox": func(t *testing.T, p prepared) error {
			x := p.honest
			in := x.inboxes[p.sites[0].did()]
			_, err := p.member(t, 0).Mask(t.Context(), x.roster, in, p.vectors[0])
			require.NoError(t, err)
			in.Boxes = in.Boxes[1:]
			_, err = p.member(t, 0).Mask(t.Context(), x.roster, in, p.vectors[0])
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
	s, err := m.Share(t.Context(), x.roster)
	require.ErrorIs(t, err, full)
	require.Zero(t, s)
	v, err := m.Mask(t.Context(), x.roster, in, p.vectors[0])
	require.ErrorIs(t, err, full)
	require.Zero(t, v)
	c, err := m.Confirm(t.Context(), x.roster, in, x.survivors)
	require.ErrorIs(t, err, full)
	require.Zero(t, c)
	r, err := m.Unmask(t.Context(), x.roster, in, x.survivors, x.confirmations)
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
	}
}
