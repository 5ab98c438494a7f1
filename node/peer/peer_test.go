package peer_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// field is three sites and the keys of a hub that may do as it likes.
type field struct {
	hub   identity.Key
	trial peertest.Trial
	sites []*peertest.Site
	index int64
}

func newField(t *testing.T, n int) *field {
	t.Helper()
	f := &field{hub: peertest.NewKey(t)}
	var keys []identity.Key
	var nodes []identity.DID
	for range n {
		keys = append(keys, peertest.NewKey(t))
		nodes = append(nodes, keys[len(keys)-1].DID())
	}
	f.trial = peertest.NewTrial(t, nodes, disclosure.Policy{}, time.Now())
	for _, key := range keys {
		site := peertest.NewSite(t, peertest.Config{
			Key: key, Hub: f.hub.DID(), Trial: f.trial, Policy: disclosure.Default(), People: peertest.People(13, 13),
		})
		site.Publish(t, func(consent.Draft) int64 { f.index++; return f.index })
		f.sites = append(f.sites, site)
	}
	return f
}

// ask returns an honest ask.
func (f *field) ask(t *testing.T) query.Ask {
	t.Helper()
	return f.askAbout(t, f.trial.CountBySex())
}

func (f *field) askAbout(t *testing.T, r query.Request) query.Ask {
	t.Helper()
	return query.Ask{
		Request: f.trial.Sign(t, r, time.Now()), Trial: f.trial.Registration, LedgerIndex: f.index + 1, Hub: disclosure.Default(),
	}
}

// bring takes a task to a site and returns its answer.
func bring(t *testing.T, s *peertest.Site, id query.ID, step query.Step, body any) query.Answer {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: id, Step: step, Body: raw})
	require.NoError(t, err)
	reply, err := s.Peer.Take(t.Context(), s.Hub, task)
	require.NoError(t, err)
	e, err := message.Parse(reply)
	require.NoError(t, err)
	require.Equal(t, s.Key.DID(), e.Issuer)
	answer, err := message.Open[query.Answer](e, query.KindAnswer, s.Now())
	require.NoError(t, err)
	require.Equal(t, id, answer.Query)
	require.Equal(t, step, answer.Step)
	return answer
}

func accepted(t *testing.T, a query.Answer) json.RawMessage {
	t.Helper()
	require.Nil(t, a.Refusal, "%+v", a.Refusal)
	return a.Body
}

func requireRule(t *testing.T, rule string, a query.Answer) {
	t.Helper()
	require.NotNil(t, a.Refusal, "the node answered")
	require.Equal(t, rule, a.Refusal.Rule)
	require.Empty(t, a.Body)
}

// TestAQuestionOfAStudyIsItsQuestion word for word, or a node refuses it.
func TestAQuestionOfAStudyIsItsQuestion(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	about := f.trial.CountBySex()
	s := study.Study{
		Name: "glucose", Version: "1", Title: "Glucose", Trial: about.Trial, Purpose: about.Purpose,
		Cohorts:   map[string]json.RawMessage{"all": about.Cohort},
		Questions: []study.Question{{Name: "by-sex", Cohort: "all", Analysis: about.Analysis}},
	}
	sign := func(key identity.Key, s study.Study) *message.Envelope {
		e, err := message.Seal(key, study.KindStudy, s, time.Now(), time.Hour, rand.Reader)
		require.NoError(t, err)
		return &e
	}
	good := sign(f.trial.Researcher, s)
	other := s
	other.Title = "Other"
	for name, c := range map[string]struct {
		study  *message.Envelope
		change func(*query.Request)
	}{
		"without the study":      {nil, func(*query.Request) {}},
		"another study":          {sign(f.trial.Researcher, other), func(*query.Request) {}},
		"of nobody of the trial": {sign(f.hub, s), func(*query.Request) {}},
		"another purpose":        {good, func(r *query.Request) { r.Purpose = "marketing" }},
		"another question":       {good, func(r *query.Request) { r.Study.Question = "count" }},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one site for all
			r, err := s.Request("by-sex")
			require.NoError(t, err)
			c.change(&r)
			ask := f.askAbout(t, r)
			ask.Study = c.study
			requireRule(t, study.ErrQuestion.Rule, bring(t, f.sites[0], ask.Request.Digest(), query.StepAsk, ask))
		})
	}
	r, err := s.Request("by-sex")
	require.NoError(t, err)
	ask := f.askAbout(t, r)
	ask.Study = good
	accepted(t, bring(t, f.sites[0], ask.Request.Digest(), query.StepAsk, ask))
}

// TestAskIsJudged brings asks that a hub must not get an answer to.
func TestAskIsJudged(t *testing.T) {
	t.Parallel()
	reseal := func(t *testing.T, key identity.Key, r query.Request, issued time.Time, ttl time.Duration) message.Envelope {
		e, err := message.Seal(key, query.KindRequest, r, issued, ttl, rand.Reader)
		require.NoError(t, err)
		return e
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, f *field, a *query.Ask)
		rule   string
	}{
		"altered purpose": {func(t *testing.T, f *field, a *query.Ask) {
			var r query.Request
			require.NoError(t, json.Unmarshal(a.Request.Body, &r))
			r.Purpose = "another"
			var err error
			a.Request.Body, err = json.Marshal(r)
			require.NoError(t, err)
		}, "message.signature"},
		"forged by the hub": {func(t *testing.T, f *field, a *query.Ask) {
			a.Request = reseal(t, f.hub, f.trial.CountBySex(), time.Now(), time.Hour)
		}, "trial.researcher"},
		"signed by the hub in the researcher's name": {func(t *testing.T, f *field, a *query.Ask) {
			a.Request = reseal(t, f.hub, f.trial.CountBySex(), time.Now(), time.Hour)
			a.Request.Issuer = f.trial.Researcher.DID()
		}, "message.signature"},
		"expired": {func(t *testing.T, f *field, a *query.Ask) {
			a.Request = reseal(t, f.trial.Researcher, f.trial.CountBySex(), time.Now().Add(-2*time.Hour), time.Hour)
		}, "message.expired"},
		"from the future": {func(t *testing.T, f *field, a *query.Ask) {
			a.Request = reseal(t, f.trial.Researcher, f.trial.CountBySex(), time.Now().Add(time.Hour), time.Hour)
		}, "message.not-yet-valid"},
		"a message of another kind": {func(_ *testing.T, _ *field, a *query.Ask) { a.Request = a.Trial.Design }, "message.kind"},
		"no approval":               {func(_ *testing.T, _ *field, a *query.Ask) { a.Trial.Approvals = nil }, "trial.unapproved"},
		"approval by another board": {func(t *testing.T, f *field, a *query.Ask) {
			a.Trial = peertest.Approve(t, f.trial.Design, f.trial.Sponsor, peertest.NewKey(t), time.Now())
		}, "trial.unapproved"},
		"approval by the hub": {func(t *testing.T, f *field, a *query.Ask) {
			a.Trial = peertest.Approve(t, f.trial.Design, f.hub, f.hub, time.Now())
		}, "trial.unapproved"},
		"approval of another design": {func(t *testing.T, f *field, a *query.Ask) {
			design := f.trial.Design
			design.Researchers = append(design.Researchers, f.hub.DID())
			other := peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
			a.Trial.Design = other.Design
		}, "trial.unapproved"},
		"approval of another trial": {func(t *testing.T, f *field, a *query.Ask) {
			design := f.trial.Design
			design.ID = "another"
			a.Trial = peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
		}, "trial.unapproved"},
		"trial that is over": {func(t *testing.T, f *field, a *query.Ask) {
			design := f.trial.Design
			design.Closes = time.Now().Add(-time.Minute)
			a.Trial = peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
		}, "trial.closed"},
		"trial of other nodes": {func(t *testing.T, f *field, a *query.Ask) {
			design := f.trial.Design
			design.Nodes = design.Nodes[1:]
			a.Trial = peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
		}, "trial.node"},
		"analysis that was not approved": {func(t *testing.T, f *field, a *query.Ask) {
			design := f.trial.Design
			design.Analyses = []string{"moments"}
			a.Trial = peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
		}, "trial.analysis"},
		"cohort that is not evaluated": {func(t *testing.T, f *field, a *query.Ask) {
			r := f.trial.CountBySex()
			r.Cohort = json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[{"LocationRegion":{}}]}}`)
			a.Request = f.trial.Sign(t, r, time.Now())
		}, "cohort.unsupported"},
		"unknown stratifier": {func(t *testing.T, f *field, a *query.Ask) {
			r := f.trial.CountBySex()
			r.Analysis.By = []query.Stratifier{"person"}
			a.Request = f.trial.Sign(t, r, time.Now())
		}, "query.invalid"},
		"hub's policy that switches dominance off": {func(_ *testing.T, _ *field, a *query.Ask) { a.Hub.MaxShare = -1 }, "peer.hub-policy"},
		"no consent epoch before the question":     {func(_ *testing.T, _ *field, a *query.Ask) { a.LedgerIndex = 1 }, "consent.no-epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, 3)
			a := f.ask(t)
			c.change(t, f, &a)
			requireRule(t, c.rule, bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a))
			// The refusal cost the researcher nothing.
			honest := f.ask(t)
			accepted(t, bring(t, f.sites[0], honest.Request.Digest(), query.StepAsk, honest))
		})
	}
}

// TestLimitThatIsNotKnownIsRefused: a node that dropped it would not keep it.
func TestLimitThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	newer := bytes.Replace(raw, []byte(`"hub":{`), []byte(`"hub":{"maxCells":3,`), 1)
	require.NotEqual(t, raw, newer)
	answer := bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, json.RawMessage(newer))
	requireRule(t, "peer.hub-policy", answer)
	require.Contains(t, answer.Refusal.Title, "disclosure.maxCells: unknown")
	accepted(t, bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, json.RawMessage(raw)))
}

func TestOnlyTheHubBringsTasks(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: a.Request.Digest(), Step: query.StepAsk, Body: raw})
	require.NoError(t, err)
	for _, from := range []identity.DID{"", f.sites[1].Key.DID(), f.trial.Researcher.DID()} {
		_, err := f.sites[0].Peer.Take(t.Context(), from, task)
		require.ErrorContains(t, err, "peer.caller")
	}
	for _, text := range []string{"", "{", "[]", "7", `{"step":"ask"}`, `{"query":"zz","step":"ask"}`} {
		_, err := f.sites[0].Peer.Take(t.Context(), f.hub.DID(), []byte(text))
		require.ErrorContains(t, err, "peer.task", "%q", text)
	}
}

// TestLooserPolicyChangesNothing: what hub and trial do not ask for, the site does.
func TestLooserPolicyChangesNothing(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	a.Hub = disclosure.Policy{}
	var accept query.Accept
	require.NoError(t, json.Unmarshal(accepted(t, bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a)), &accept))
	require.Equal(t, disclosure.Default(), accept.Policy)

	a = f.askAbout(t, f.trial.MeanBySex())
	a.Hub = disclosure.Policy{MinCell: 12, MaxShare: 50}
	require.NoError(t, json.Unmarshal(accepted(t, bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a)), &accept))
	require.Equal(t, 12, accept.Policy.MinCell)
	require.Equal(t, 50, accept.Policy.MaxShare)
	require.Equal(t, 5, accept.Policy.Rounding)
}

// TestQuestionComesOnce: the same ask gives the same answer, other papers for
// the same question are a replay, and so is the ask once the sum began.
func TestQuestionComesOnce(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	asks, id := f.begin(t)
	s := f.sites[0]
	again := bring(t, s, id, query.StepAsk, asks)
	require.JSONEq(t, string(accepted(t, again)), string(accepted(t, bring(t, s, id, query.StepAsk, asks))))
	other := asks
	other.LedgerIndex++
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepAsk, other))
	other = asks
	other.Hub = disclosure.Policy{}
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepAsk, other))

	round := f.roster(t, asks, id)
	masked := bring(t, s, id, query.StepMask, round)
	accepted(t, masked)
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepAsk, asks))
	s.Reopen(t)
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepAsk, asks))
	require.JSONEq(t, string(masked.Body), string(accepted(t, bring(t, s, id, query.StepMask, round))), "a step may be repeated")
}

// begin brings an honest ask to all sites.
func (f *field) begin(t *testing.T) (query.Ask, query.ID) {
	t.Helper()
	a := f.ask(t)
	id := a.Request.Digest()
	for _, s := range f.sites {
		accepted(t, bring(t, s, id, query.StepAsk, a))
	}
	return a, id
}

func (f *field) session(t *testing.T, a query.Ask) secagg.Session {
	t.Helper()
	s, err := secagg.ForQuestion(a.Request.Digest(), f.trial.Design.Nodes, disclosure.Strictest(a.Hub, f.trial.Design.Disclosure), 6)
	require.NoError(t, err)
	return s
}

// roster returns the round that asks for the masked vectors.
func (f *field) roster(t *testing.T, a query.Ask, id query.ID) query.Round {
	t.Helper()
	var list []secagg.Advertisement
	for _, s := range f.sites {
		var accept query.Accept
		require.NoError(t, json.Unmarshal(accepted(t, bring(t, s, id, query.StepAsk, a)), &accept))
		advertisement, err := secagg.Decode[secagg.Advertisement](accept.Advertisement)
		require.NoError(t, err)
		list = append(list, advertisement)
	}
	roster, err := secagg.NewRoster(f.session(t, a), list)
	require.NoError(t, err)
	raw, err := json.Marshal(roster)
	require.NoError(t, err)
	return query.Round{Roster: raw}
}

// masked is a sum for which all sites have sent their vectors.
type masked struct {
	session secagg.Session
	round   query.Round // with which they were asked
	vectors []secagg.Masked
}

func (f *field) masked(t *testing.T, a query.Ask, id query.ID) masked {
	t.Helper()
	m := masked{session: f.session(t, a), round: f.roster(t, a, id)}
	for _, s := range f.sites {
		var answer query.MaskedAnswer
		require.NoError(t, json.Unmarshal(accepted(t, bring(t, s, id, query.StepMask, m.round)), &answer))
		vector, err := secagg.Decode[secagg.Masked](answer.Masked)
		require.NoError(t, err)
		m.vectors = append(m.vectors, vector)
	}
	slices.SortFunc(m.vectors, func(a, b secagg.Masked) int { return cmp.Compare(a.From, b.From) })
	return m
}

// over returns what a site is to unmask if some survived.
func (m masked) over(t *testing.T, site *peertest.Site, survivors []identity.DID) query.Round {
	t.Helper()
	roster, err := secagg.Decode[secagg.Roster](m.round.Roster)
	require.NoError(t, err)
	vectors := slices.DeleteFunc(slices.Clone(m.vectors), func(v secagg.Masked) bool { return !slices.Contains(survivors, v.From) })
	inboxes, err := secagg.Inboxes(m.session, roster, vectors)
	require.NoError(t, err)
	round := m.round
	round.Survivors = survivors
	round.Inbox, err = json.Marshal(inboxes[site.Key.DID()])
	require.NoError(t, err)
	return round
}

func (f *field) names(skip int) []identity.DID {
	var list []identity.DID
	for _, node := range slices.Sorted(slices.Values(f.trial.Design.Nodes)) {
		if skip < 0 || node != f.sites[skip].Key.DID() {
			list = append(list, node)
		}
	}
	return list
}

// TestSwappedRoster gives a site keys that are not its peers'.
func TestSwappedRoster(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a, id := f.begin(t)
	honest := f.roster(t, a, id)
	change := func(edit func(*secagg.Roster)) query.Round {
		roster, err := secagg.Decode[secagg.Roster](honest.Roster)
		require.NoError(t, err)
		edit(&roster)
		raw, err := json.Marshal(roster)
		require.NoError(t, err)
		return query.Round{Roster: raw}
	}
	s := f.sites[0]
	swapped := change(func(r *secagg.Roster) {
		i := 0
		if r.Members[i].From == s.Key.DID() {
			i = 1
		}
		r.Members[i].Key[0] ^= 1
	})
	requireRule(t, "secagg.signature", bring(t, s, id, query.StepMask, swapped))
	requireRule(t, "peer.min-sites", bring(t, s, id, query.StepMask, change(func(r *secagg.Roster) { r.Members = r.Members[:2] })))
	requireRule(t, "peer.task", bring(t, s, id, query.StepMask, query.Round{Roster: json.RawMessage(`{"members":"x"}`)}))
	requireRule(t, "peer.task", bring(t, s, id, query.StepMask, 7))
	requireRule(t, "peer.task", bring(t, s, id, "dance", honest))
	// None of this spoiled the honest way.
	accepted(t, bring(t, s, id, query.StepMask, honest))
	accepted(t, bring(t, s, id, query.StepMask, honest))
}

// guard is what a site's gate remembers of the steps of masked sums.
type guard struct{ *peertest.Site }

func (g guard) Once(ctx context.Context, session message.Digest, step string, value message.Digest) error {
	return g.DB.Write(ctx, func(tx *sqldb.Tx) error { return g.Gate.Once(ctx, tx, session, step, value) })
}

// TestStrangerOnTheRoster adds a member of the hub's own making.
func TestStrangerOnTheRoster(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a, id := f.begin(t)
	roster, err := secagg.Decode[secagg.Roster](f.roster(t, a, id).Roster)
	require.NoError(t, err)
	stranger := peertest.NewKey(t)
	nodes := append(f.names(2), stranger.DID())
	session, err := secagg.ForQuestion(id, nodes, a.Hub, 6)
	require.NoError(t, err)
	member, err := secagg.NewMember([32]byte{9}, session, stranger, guard{f.sites[0]})
	require.NoError(t, err)
	advertisement, err := member.Advertise(t.Context())
	require.Error(t, err, "the gate knows this session otherwise")
	for i := range roster.Members {
		if roster.Members[i].From == f.sites[2].Key.DID() {
			roster.Members[i] = advertisement
			roster.Members[i].From = stranger.DID()
			roster.Members[i].Signature = make([]byte, 64)
		}
	}
	slices.SortFunc(roster.Members, func(a, b secagg.Advertisement) int { return cmp.Compare(a.From, b.From) })
	raw, err := json.Marshal(roster)
	require.NoError(t, err)
	requireRule(t, "secagg.roster", bring(t, f.sites[0], id, query.StepMask, query.Round{Roster: raw}))
}

// TestSecondSurvivorSet: whoever could have two sums could subtract them.
func TestSecondSurvivorSet(t *testing.T) {
	t.Parallel()
	f := newField(t, 4)
	a, id := f.begin(t)
	sum := f.masked(t, a, id)
	s := f.sites[0]
	four, three := sum.over(t, s, f.names(-1)), sum.over(t, s, f.names(3))
	requireRule(t, "secagg.confirmations", bring(t, s, id, query.StepUnmask, three))
	accepted(t, bring(t, s, id, query.StepConfirm, three))
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepConfirm, four))
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepUnmask, four))
	s.Reopen(t)
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepConfirm, four))
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepUnmask, four))
	few := three
	few.Survivors = f.names(3)[:2]
	requireRule(t, "peer.min-sites", bring(t, s, id, query.StepConfirm, few))
	requireRule(t, "peer.min-sites", bring(t, s, id, query.StepUnmask, few))
	few.Survivors = f.names(0)
	requireRule(t, "secagg.survivors", bring(t, s, id, query.StepConfirm, few))
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepMask, sum.round)) // after the confirmation went through

	s = f.sites[1] // helps with the sum over everybody, for which nobody has to confirm
	four, three = sum.over(t, s, f.names(-1)), sum.over(t, s, f.names(3))
	accepted(t, bring(t, s, id, query.StepUnmask, four))
	s.Reopen(t)
	requireRule(t, "peer.replayed", bring(t, s, id, query.StepConfirm, three))
	requireRule(t, "secagg.confirmations", bring(t, s, id, query.StepUnmask, three))
	accepted(t, bring(t, s, id, query.StepUnmask, four))
}

// TestQuestionAgainOverNearlyTheSameSites: the sum over four sites less that over
// three would be the fourth site's.
func TestQuestionAgainOverNearlyTheSameSites(t *testing.T) {
	t.Parallel()
	f := newField(t, 4)
	unmask := func(survivors []identity.DID) []query.Answer {
		a, id := f.begin(t)
		sum := f.masked(t, a, id)
		sites := slices.DeleteFunc(slices.Clone(f.sites), func(s *peertest.Site) bool { return !slices.Contains(survivors, s.Key.DID()) })
		var confirmations []json.RawMessage
		if len(survivors) < len(f.sites) {
			for _, s := range sites {
				confirmations = append(confirmations, accepted(t, bring(t, s, id, query.StepConfirm, sum.over(t, s, survivors))))
			}
		}
		var answers []query.Answer
		for _, s := range sites {
			round := sum.over(t, s, survivors)
			round.Confirmations = confirmations
			answers = append(answers, bring(t, s, id, query.StepUnmask, round))
		}
		return answers
	}
	for _, a := range unmask(f.names(3)) {
		accepted(t, a)
	}
	refused := 0
	for _, a := range unmask(f.names(-1)) {
		if a.Refusal != nil {
			requireRule(t, "release.sites", a)
			refused++
		}
	}
	require.Equal(t, 3, refused, "all but the one that was not in the first sum")
	for _, a := range unmask(f.names(3)) {
		accepted(t, a)
	}
}

// TestOtherRosterSameQuestion: a second roster would mask the vector otherwise.
func TestOtherRosterSameQuestion(t *testing.T) {
	t.Parallel()
	f := newField(t, 4)
	a, id := f.begin(t)
	sum := f.masked(t, a, id)
	roster, err := secagg.Decode[secagg.Roster](sum.round.Roster)
	require.NoError(t, err)
	s := f.sites[0]
	roster.Members = slices.DeleteFunc(roster.Members, func(a secagg.Advertisement) bool { return a.From == f.sites[3].Key.DID() })
	other := sum.round
	other.Roster, err = json.Marshal(roster)
	require.NoError(t, err)
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepMask, other))
	s.Reopen(t)
	requireRule(t, "secagg.changed", bring(t, s, id, query.StepMask, other))
	round := sum.over(t, s, f.names(-1))
	round.Inbox = sum.over(t, f.sites[1], f.names(-1)).Inbox
	requireRule(t, "secagg.share", bring(t, s, id, query.StepUnmask, round))
}

func TestUnaskedQuestion(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	for _, step := range []query.Step{query.StepMask, query.StepConfirm, query.StepUnmask, query.StepProve} {
		requireRule(t, "peer.unasked", bring(t, f.sites[0], query.ID{1}, step, query.Round{}))
	}
	a := f.ask(t)
	requireRule(t, "peer.task", bring(t, f.sites[0], query.ID{1}, query.StepAsk, a)) // another question's papers
}

// TestProofOnlyOfWhatWasSent: a step that was refused moves nothing on.
func TestProofOnlyOfWhatWasSent(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a, id := f.begin(t)
	s := f.sites[0]
	requireRule(t, "peer.not-masked", bring(t, s, id, query.StepProve, nil))
	round := f.roster(t, a, id)
	requireRule(t, "peer.task", bring(t, s, id, query.StepMask, 7))
	requireRule(t, "peer.not-masked", bring(t, s, id, query.StepProve, nil))
	accepted(t, bring(t, s, id, query.StepMask, round))
	first := accepted(t, bring(t, s, id, query.StepProve, nil))
	s.Reopen(t)
	require.JSONEq(t, string(first), string(accepted(t, bring(t, s, id, query.StepProve, nil))), "a proof is made once")
}

// TestWithdrawalBeforeTheQuestion: nobody who took consent back is counted, and
// a question that was answered with them is not repeated.
func TestWithdrawalBeforeTheQuestion(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	f.begin(t)
	f.sites[0].Withdraw(t, 3)
	a := f.ask(t)
	requireRule(t, "release.changed", bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a))
	accepted(t, bring(t, f.sites[1], a.Request.Digest(), query.StepAsk, a))
}

// TestWithdrawalBetweenTheSteps: the hub may hold a question for as long as it
// likes, but not over a withdrawal or the end of what was signed.
func TestWithdrawalBetweenTheSteps(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a, id := f.begin(t)
	round := f.roster(t, a, id)
	s := f.sites[0]
	s.Withdraw(t, 3)
	requireRule(t, "release.changed", bring(t, s, id, query.StepMask, round))
	accepted(t, bring(t, f.sites[1], id, query.StepMask, round))
	accepted(t, bring(t, f.sites[2], id, query.StepMask, round))
	f.sites[1].Withdraw(t, 0)
	round.Survivors = f.names(-1)
	for _, step := range []query.Step{query.StepConfirm, query.StepUnmask} {
		requireRule(t, "release.changed", bring(t, f.sites[1], id, step, round))
	}

	late := f.sites[2]
	late.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	late.Reopen(t)
	requireRule(t, "message.expired", bring(t, late, id, query.StepMask, round))
}

// TestTroubleIsNoRefusal: what is the node's own fault is tried again.
func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	task, err := json.Marshal(query.Task{Query: a.Request.Digest(), Step: query.StepAsk, Body: raw})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.sites[0].Peer.Take(ctx, f.hub.DID(), task)
	require.ErrorContains(t, err, "cannot answer at the moment")
	accepted(t, bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a))
}

// TestTrialMayDemandMoreSites: members that the trial's policy asks for count.
func TestTrialMayDemandMoreSites(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	design := f.trial.Design
	design.Disclosure.MinSites = 4
	a.Trial = peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())
	requireRule(t, "secagg.session", bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a))
	f.sites[1].Policy.MinSites = 4
	f.sites[1].Reopen(t)
	a = f.ask(t)
	requireRule(t, "peer.min-sites", bring(t, f.sites[1], a.Request.Digest(), query.StepAsk, a))
}

// TestTrialKeepsItsDesign: a second design under the same id is refused, whoever
// approved it; a renewed approval of the first is not.
func TestTrialKeepsItsDesign(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	s := f.sites[0]
	design := f.trial.Design
	design.Analyses = append(slices.Clone(design.Analyses), "survival")
	second := peertest.Approve(t, design, f.trial.Sponsor, f.trial.Board, time.Now())

	unsound := f.ask(t)
	unsound.Trial = second
	unsound.Trial.Approvals = nil
	requireRule(t, "trial.unapproved", bring(t, s, unsound.Request.Digest(), query.StepAsk, unsound)) // pins nothing
	first := f.ask(t)
	accepted(t, bring(t, s, first.Request.Digest(), query.StepAsk, first))
	s.Reopen(t)
	other := f.ask(t)
	other.Trial = second
	requireRule(t, "peer.design", bring(t, s, other.Request.Digest(), query.StepAsk, other))

	renewed := f.ask(t)
	approval, err := message.Seal(f.trial.Board, trial.KindApproval, trial.Approval{
		Trial: design.ID, Design: renewed.Trial.Design.Digest(), Statement: "for another year",
	}, time.Now(), 300*24*time.Hour, rand.Reader)
	require.NoError(t, err)
	renewed.Trial.Approvals = []message.Envelope{approval}
	accepted(t, bring(t, s, renewed.Request.Digest(), query.StepAsk, renewed))
}

// TestRefusalsAreRemembered keeps a record of who was refused, and why.
func TestRefusalsAreRemembered(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	a := f.ask(t)
	a.Trial.Approvals = nil
	bring(t, f.sites[0], a.Request.Digest(), query.StepAsk, a)
	var rules []string
	require.NoError(t, f.sites[0].DB.Read(t.Context(), func(tx *sqldb.Tx) error {
		var rule, subject string
		err := tx.QueryRow(t.Context(), `SELECT rule, subject FROM audit ORDER BY id DESC LIMIT 1`).Scan(&rule, &subject)
		rules = append(rules, rule)
		require.Equal(t, a.Request.Digest().String(), subject)
		return err
	}))
	require.Equal(t, []string{trial.ErrUnapproved.Rule}, rules)
}

// TestNothingHappensWithoutItsRecord: an act and its place on the trail are one.
func TestNothingHappensWithoutItsRecord(t *testing.T) {
	t.Parallel()
	f := newField(t, 3)
	s := f.sites[0]
	execute := func(sql string) {
		require.NoError(t, s.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		}))
	}
	count := func(sql string) (n int) {
		require.NoError(t, s.DB.Read(t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(t.Context(), sql).Scan(&n) }))
		return n
	}
	take := func(id query.ID, step query.Step, body any) error {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		task, err := json.Marshal(query.Task{Query: id, Step: step, Body: raw})
		require.NoError(t, err)
		_, err = s.Peer.Take(t.Context(), f.hub.DID(), task)
		return err
	}
	a := f.ask(t)
	id := a.Request.Digest()
	execute(`ALTER TABLE audit RENAME TO away`)
	require.ErrorContains(t, take(id, query.StepAsk, a), "cannot answer")
	require.Zero(t, count(`SELECT count(*) FROM peer_question`), "no question is accepted")
	execute(`ALTER TABLE away RENAME TO audit`)

	a, id = f.begin(t)
	require.Equal(t, 2, count(`SELECT count(*) FROM audit WHERE event IN ('question accepted', 'numbers released')`))
	accepted(t, bring(t, s, id, query.StepMask, f.roster(t, a, id)))
	execute(`ALTER TABLE audit RENAME TO away`)
	require.ErrorContains(t, take(id, query.StepProve, nil), "cannot answer")
	require.Zero(t, count(`SELECT count(*) FROM peer_question WHERE access IS NOT NULL`), "no proof is kept")
	execute(`ALTER TABLE away RENAME TO audit`)
	accepted(t, bring(t, s, id, query.StepProve, nil))
	require.Equal(t, 1, count(`SELECT count(*) FROM audit WHERE event = 'access proved'`))
}

// FuzzTake: no bytes from the hub crash a node or get an answer without a
// signed question.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"query":"0101010101010101010101010101010101010101010101010101010101010101","step":"ask","body":{"request":{},"trial":{},"ledgerIndex":1,"hub":{}}}`))
	f.Add([]byte(`{"query":"0101010101010101010101010101010101010101010101010101010101010101","step":"mask","body":{"roster":null}}`))
	f.Add([]byte(`{"query":"00","step":""}`))
	hub, key := peertest.NewKey(f), peertest.NewKey(f)
	nodes := []identity.DID{key.DID(), peertest.NewKey(f).DID(), peertest.NewKey(f).DID()}
	site := peertest.NewSite(f, peertest.Config{
		Key: key, Hub: hub.DID(), Policy: disclosure.Default(), People: peertest.People(1, 1),
		Trial: peertest.NewTrial(f, nodes, disclosure.Policy{}, time.Now()),
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		reply, err := site.Peer.Take(t.Context(), hub.DID(), raw)
		if err != nil {
			return
		}
		e, err := message.Parse(reply)
		require.NoError(t, err)
		answer, err := message.Open[query.Answer](e, query.KindAnswer, time.Now())
		require.NoError(t, err)
		require.NotNil(t, answer.Refusal)
	})
}
