package approval

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

const definition = `{"ConceptSets": [{"id": 0, "name": "x", "expression": {"items": [
	{"concept": {"CONCEPT_ID": 201826}}, {"concept": {"CONCEPT_ID": 443238}}]}}],
	"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurrence": {"CodesetId": 0}}]}}`

// site is a desk with two approvers, a researcher and a clock that stands.
type site struct {
	*Desk
	now        time.Time
	anna, ben  identity.Key
	researcher identity.Key
	trail      *audit.Trail
	counted    int     // how often the persons of a question were
	decided    Decided // about the question that came last
}

func key(t testing.TB) identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return k
}

// open opens a desk with the policy at a path, "" for the default.
func open(t testing.TB, db *sqldb.DB, policy string) *site {
	t.Helper()
	s := &site{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), anna: key(t), ben: key(t), researcher: key(t)}
	s.reopen(t, db, policy)
	return s
}

// reopen opens the desk again, as a restart does, or another process.
func (s *site) reopen(t testing.TB, db *sqldb.DB, policy string) {
	t.Helper()
	p, err := Load(t.Context(), policy)
	require.NoError(t, err)
	s.trail, err = audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s.Desk, err = Open(t.Context(), Config{
		DB: db, Node: "did:key:zNode", Policy: p, Trail: s.trail, Approvers: []identity.DID{s.anna.DID(), s.ben.DID()},
		Now: func() time.Time { return s.now },
	})
	require.NoError(t, err)
}

// question returns a question of the researcher, another one every time.
func (s *site) question(t testing.TB, k identity.Key) Case {
	t.Helper()
	r := query.Request{
		Trial: "bp-2026", Cohort: json.RawMessage(definition), Purpose: "to see whether \x1b[31mit is feasible",
		Analysis: query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex}},
	}
	e, err := message.Seal(k, query.KindRequest, r, s.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	same, err := r.Question()
	require.NoError(t, err)
	return Case{Query: e.Digest(), Same: same, Envelope: e, Request: r, Hub: disclosure.Default(), Limits: disclosure.Default(), Until: s.now.Add(time.Hour)}
}

// run brings a question to the gate before the run, as a peer does.
func (s *site) run(t testing.TB, c Case) error {
	t.Helper()
	d, err := s.Decide(t.Context(), c, func(context.Context) (int, error) { s.counted++; return 57, nil })
	if err != nil {
		return err
	}
	s.decided = d
	if !d.At(Run) {
		return nil
	}
	return s.Pass(t.Context(), c, Run, message.Digest{})
}

// answer takes the last step of a question that may pass.
func (s *site) answer(t testing.TB, c Case) (Leave, error) {
	t.Helper()
	l, err := s.Leave(t.Context(), c, s.decided)
	if err != nil {
		return l, err
	}
	return l, s.cfg.DB.Write(t.Context(), func(tx *sqldb.Tx) error { return s.Answered(t.Context(), tx, c.Query, l) })
}

// only returns the one question that waits.
func (s *site) only(t testing.TB) Item {
	t.Helper()
	list, err := s.Items(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

// verdict returns what approve says about an item.
func (s *site) verdict(i Item, approve bool) Verdict {
	return Verdict{Approval: i.ID, Node: s.cfg.Node, Query: i.Input.Query, Gate: i.Gate, Policy: i.Policy, Numbers: i.Numbers, Approve: approve, Reason: "because"}
}

func (s *site) sign(t testing.TB, k identity.Key, v Verdict) message.Envelope {
	t.Helper()
	e, err := Sign(k, v, s.now, rand.Reader)
	require.NoError(t, err)
	return e
}

func (s *site) events(t testing.TB) []audit.Event {
	t.Helper()
	list, err := s.trail.Latest(t.Context(), 100)
	require.NoError(t, err)
	var events []audit.Event
	for i := len(list) - 1; i >= 0; i-- {
		events = append(events, list[i].Event)
	}
	return events
}

func TestQuestionWaitsForAPerson(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		c := s.question(t, s.researcher)
		require.ErrorIs(t, s.run(t, c), ErrWaiting)
		require.ErrorIs(t, s.run(t, c), ErrWaiting, "it comes again, and waits on")
		n, err := s.Waiting(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)

		item := s.only(t)
		require.Equal(t, Run, item.Gate)
		require.Equal(t, Uncounted, item.Input.Size)
		require.Equal(t, []int64{201826, 443238}, item.Input.Concepts)
		require.Equal(t, c.Request.Purpose, item.Request.Purpose)
		found, err := s.Item(t.Context(), item.ID.String()[:8])
		require.NoError(t, err)
		require.Equal(t, item.ID, found.ID)

		s.reopen(t, db, "") // killed before the decision
		e := s.sign(t, s.anna, s.verdict(item, true))
		item, err = s.Record(t.Context(), item.ID, e)
		require.NoError(t, err)
		require.Equal(t, Approved, item.State)
		s.reopen(t, db, "") // killed between decision and answer
		require.NoError(t, s.run(t, c))
		leave, err := s.answer(t, c)
		require.NoError(t, err)
		require.Equal(t, query.Leave{Policy: item.Policy, Verdicts: []message.Digest{e.Digest()}}, leave.Public(), "the approver's name stays at the site")
		require.Equal(t, []audit.Event{audit.PolicyDecided, audit.ApprovalAsked, audit.ApprovalGiven}, s.events(t))

		same, err := s.Record(t.Context(), item.ID, e)
		require.NoError(t, err, "a verdict may come again")
		require.True(t, same.Sent)
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.ben, s.verdict(item, false)))
		require.ErrorIs(t, err, ErrDecided, "the node has answered")

		require.NoError(t, s.run(t, s.question(t, s.researcher)), "approved for this researcher before")
		require.ErrorIs(t, s.run(t, s.question(t, key(t))), ErrWaiting, "another researcher's is another matter")
	})
}

// glossary is a vocabulary of one of the question's two concepts.
type glossary struct{}

func (glossary) Concepts(_ context.Context, ids []int64) (map[int64]vocab.Concept, error) {
	if !slices.Equal(ids, []int64{201826, 443238}) {
		return nil, fmt.Errorf("asked for %v", ids)
	}
	return map[int64]vocab.Concept{201826: {ID: 201826, Name: "Type 2 diabetes mellitus", Domain: "Condition", Vocabulary: "SNOMED", Class: "Disorder", Code: "44054006"}}, nil
}

// TestAPolicyDecidesByTheSitesNames, and by who takes part in the trial.
func TestAPolicyDecidesByTheSitesNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.rego"), []byte(`package trialmesh.approval

decision := {"decision": "automatic", "reason": "diabetes, with a known partner"} if {
	some concept in input.named
	startswith(concept.name, "Type 2 diabetes")
	concept.vocabulary == "SNOMED"
	count(input.named) == 1
	input.node in input.sites
	"did:key:zPartner" in input.sites
} else := {"decision": "refuse", "reason": "anything else"}
`), 0o600))
	s := open(t, sqltest.SQLite(t), dir)
	unnamed := s.question(t, s.researcher)
	unnamed.Sites = []identity.DID{"did:key:zNode", "did:key:zPartner"}
	require.ErrorContains(t, s.run(t, unnamed), ErrPolicy.Rule, "the site has no vocabulary")
	s.cfg.Names = glossary{}
	named := s.question(t, s.researcher)
	require.ErrorContains(t, s.run(t, named), ErrPolicy.Rule, "nobody else is in the trial")
	named = s.question(t, s.researcher)
	named.Sites = unnamed.Sites
	require.NoError(t, s.run(t, named))
}

func TestRefusalStands(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		c := s.question(t, s.researcher)
		require.ErrorIs(t, s.run(t, c), ErrWaiting)
		item := s.only(t)
		given := s.sign(t, s.anna, s.verdict(item, true))
		_, err := s.Record(t.Context(), item.ID, given)
		require.NoError(t, err)
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.ben, s.verdict(item, true)))
		require.ErrorIs(t, err, ErrApproved, "one is enough")
		leave, err := s.Leave(t.Context(), c, s.decided)
		require.NoError(t, err)

		v := s.verdict(item, false)
		v.Public = "please ask within the protocol"
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.ben, v))
		require.NoError(t, err, "an approval may be taken back before the answer")
		err = s.cfg.DB.Write(t.Context(), func(tx *sqldb.Tx) error { return s.Answered(t.Context(), tx, c.Query, leave) })
		require.ErrorIs(t, err, errTakenBack, "also while the answer is under way")

		_, err = s.Record(t.Context(), item.ID, given)
		require.ErrorIs(t, err, ErrStands, "the earlier approval cannot be played again")
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.anna, s.verdict(item, true)))
		require.ErrorIs(t, err, ErrStands)
		err = s.run(t, c)
		require.ErrorContains(t, err, "please ask within the protocol")
		require.ErrorContains(t, err, ErrRefused.Rule)
		require.Equal(t, []audit.Event{audit.PolicyDecided, audit.ApprovalAsked, audit.ApprovalGiven, audit.ApprovalRefused}, s.events(t))
	})
}

// TestVerdictsThatDoNotCount: each is signed well, but by or about something else.
func TestVerdictsThatDoNotCount(t *testing.T) {
	t.Parallel()
	s := open(t, sqltest.SQLite(t), "")
	require.ErrorIs(t, s.run(t, s.question(t, s.anna)), ErrWaiting) // an approver asks
	own := s.only(t)
	_, err := s.Record(t.Context(), own.ID, s.sign(t, s.anna, s.verdict(own, true)))
	require.ErrorIs(t, err, ErrOwn)
	_, err = s.Record(t.Context(), own.ID, s.sign(t, s.ben, s.verdict(own, false)))
	require.NoError(t, err)

	require.ErrorIs(t, s.run(t, s.question(t, s.researcher)), ErrWaiting)
	item := s.only(t)
	for name, change := range map[string]func(*Verdict){
		"another approval": func(v *Verdict) { v.Approval = own.ID },
		"another question": func(v *Verdict) { v.Query = own.Input.Query },
		"another policy":   func(v *Verdict) { v.Policy = message.Sum([]byte("x")) },
		"another node":     func(v *Verdict) { v.Node = "did:key:zOther" },
		"another gate":     func(v *Verdict) { v.Gate = Release },
		"other numbers":    func(v *Verdict) { v.Numbers = message.Sum([]byte("x")) },
	} {
		v := s.verdict(item, true)
		change(&v)
		_, err := s.Record(t.Context(), item.ID, s.sign(t, s.anna, v))
		require.ErrorIs(t, err, ErrOther, name)
	}
	_, err = s.Record(t.Context(), item.ID, s.sign(t, s.researcher, s.verdict(item, true)))
	require.ErrorIs(t, err, ErrApprover)
	forged := s.sign(t, s.researcher, s.verdict(item, true))
	forged.Issuer = s.anna.DID()
	_, err = s.Record(t.Context(), item.ID, forged)
	require.ErrorIs(t, err, message.ErrSignature)
	kind, err := message.Seal(s.anna, query.KindRequest, s.verdict(item, true), s.now, time.Hour, rand.Reader)
	require.NoError(t, err)
	_, err = s.Record(t.Context(), item.ID, kind)
	require.ErrorIs(t, err, message.ErrKind)
	_, err = s.Record(t.Context(), message.Sum([]byte("x")), s.sign(t, s.anna, s.verdict(item, true)))
	require.ErrorIs(t, err, ErrUnknown)

	good := s.sign(t, s.anna, s.verdict(item, true))
	s.now = s.now.Add(verdictLife)
	_, err = s.Record(t.Context(), item.ID, good)
	require.ErrorIs(t, err, message.ErrExpired)
	_, err = s.Record(t.Context(), item.ID, s.sign(t, s.anna, s.verdict(item, true)))
	require.ErrorIs(t, err, ErrOver, "the hub waits no longer")
	all, err := s.Items(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, all, 2)
	n, err := s.Waiting(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestPolicyChangesMeanwhile: what was asked under one policy is not decided under another.
func TestPolicyChangesMeanwhile(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		c := s.question(t, s.researcher)
		require.ErrorIs(t, s.run(t, c), ErrWaiting)
		old := s.only(t)
		other := rules(t, head+`decision := {"decision": "human", "gates": ["run", "release"], "reason": "twice", "publishApprovers": true}`)
		s.reopen(t, db, other)
		_, err := s.Record(t.Context(), old.ID, s.sign(t, s.anna, s.verdict(old, true)))
		require.ErrorIs(t, err, ErrOldPolicy)
		require.ErrorIs(t, s.run(t, c), ErrWaiting, "it is judged anew")
		item := s.only(t)
		require.NotEqual(t, old.ID, item.ID)
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.anna, s.verdict(item, true)))
		require.NoError(t, err)
		require.NoError(t, s.run(t, c))

		_, err = s.Leave(t.Context(), c, s.decided)
		require.ErrorIs(t, err, errTakenBack, "one gate is still to come")
		numbers := message.Sum([]byte("15 and 20"))
		require.ErrorIs(t, s.Pass(t.Context(), c, Release, numbers), ErrWaiting)
		require.ErrorIs(t, s.run(t, c), ErrWaiting, "nothing runs again meanwhile")
		item = s.only(t)
		require.Equal(t, numbers, item.Numbers)
		_, err = s.Record(t.Context(), item.ID, s.sign(t, s.ben, s.verdict(item, true)))
		require.NoError(t, err)
		require.ErrorIs(t, s.Pass(t.Context(), c, Release, message.Sum([]byte("16 and 20"))), ErrWaiting, "an approval is for the numbers it was shown")
		require.NoError(t, s.Pass(t.Context(), c, Release, numbers))
		leave, err := s.answer(t, c)
		require.NoError(t, err)
		require.Equal(t, []identity.DID{s.anna.DID(), s.ben.DID()}, leave.Public().Approvers)
		require.NoError(t, leave.Public().Validate())

		s.reopen(t, db, "")
		all, err := s.Items(t.Context(), true)
		require.NoError(t, err)
		states := make(map[State]int)
		for _, i := range all {
			states[i.State]++
		}
		require.Equal(t, map[State]int{Approved: 2, Waiting: 1, Replaced: 1}, states, "what was asked under this policy waits again")
	})
}

// TestTwoProcesses ask and decide about the same question at once.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		c := s.question(t, s.researcher)
		one := *s
		s.reopen(t, db, "")
		both := []*site{&one, s}
		var group errgroup.Group
		for _, p := range both {
			group.Go(func() error {
				require.ErrorIs(t, p.run(t, c), ErrWaiting)
				return nil
			})
		}
		require.NoError(t, group.Wait())
		item := s.only(t)
		var decided [2]error
		for i, p := range both {
			e := s.sign(t, []identity.Key{s.anna, s.ben}[i], s.verdict(item, true))
			group.Go(func() error {
				_, decided[i] = p.Record(t.Context(), item.ID, e)
				return nil
			})
		}
		require.NoError(t, group.Wait())
		require.True(t, (decided[0] == nil) != (decided[1] == nil), "one verdict counts: %v", decided)
		require.NoError(t, one.run(t, c))
		require.Equal(t, []audit.Event{audit.PolicyDecided, audit.ApprovalAsked, audit.ApprovalGiven}, s.events(t))
	})
}

// TestAnApprovalIsForItsLimits: what people approved under strict limits waits again
// under others, also as another question of the same researcher.
func TestAnApprovalIsForItsLimits(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		c := s.question(t, s.researcher)
		c.Hub.MinCell = 1000
		require.ErrorIs(t, s.run(t, c), ErrWaiting)
		strict := s.only(t)
		_, err := s.Record(t.Context(), strict.ID, s.sign(t, s.anna, s.verdict(strict, true)))
		require.NoError(t, err)
		require.NoError(t, s.run(t, c))

		lax := c
		lax.Hub = disclosure.Policy{}
		require.ErrorIs(t, s.run(t, lax), ErrWaiting)
		item := s.only(t)
		require.NotEqual(t, strict.ID, item.ID)
		require.Zero(t, item.Input.Hub)
		_, err = s.Leave(t.Context(), lax, s.decided)
		require.ErrorIs(t, err, errTakenBack)
		require.ErrorIs(t, s.run(t, s.question(t, s.researcher)), ErrWaiting, "the same under other limits")
		_, err = s.answer(t, c)
		require.NoError(t, err)
	})
}

// TestSizeIsCountedWhereItDecides and nowhere else.
func TestSizeIsCountedWhereItDecides(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db, "")
	require.ErrorIs(t, s.run(t, s.question(t, s.researcher)), ErrWaiting)
	require.Equal(t, Uncounted, s.only(t).Input.Size)
	require.Zero(t, s.counted)

	s.reopen(t, db, rules(t, head+`decision := {"decision": "refuse", "reason": "few"} if { input.size == "fewer than 11" } else := {"decision": "human", "gates": ["run"], "reason": "many"}`))
	require.ErrorIs(t, s.run(t, s.question(t, s.researcher)), ErrWaiting)
	require.Equal(t, Under101, s.only(t).Input.Size)
	require.Equal(t, 1, s.counted)
}

func TestPolicyDecidesAlone(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db, rules(t, head+`decision := {"decision": "refuse", "reason": sprintf("no counts after %d o'clock", [input.now.hour])} if input.analysis == "count"`))
	c := s.question(t, s.researcher)
	err := s.run(t, c)
	require.ErrorContains(t, err, "the site's policy refuses the question: no counts after 9 o'clock")
	s.now = s.now.Add(time.Minute)
	require.ErrorContains(t, s.run(t, c), "9 o'clock", "a decision is made once")

	s.reopen(t, db, rules(t, head+`decision := {"decision": "automatic", "reason": "x"} if input.nothing`))
	require.ErrorIs(t, s.run(t, c), ErrNoPolicy)

	s.anna, s.ben = key(t), key(t)
	s.reopen(t, db, rules(t, head+`decision := {"decision": "human", "gates": ["release"], "reason": "x"}`))
	s.cfg.Approvers = nil
	require.ErrorIs(t, s.run(t, s.question(t, s.researcher)), ErrNobody)

	s.reopen(t, db, "")
	s.cfg.Approvers = nil
	c = s.question(t, s.researcher)
	require.NoError(t, s.run(t, c), "a site that names no approver answers by itself")
	leave, err := s.answer(t, c)
	require.NoError(t, err)
	require.Equal(t, query.Leave{Policy: s.cfg.Policy.Digest()}, leave.Public())
}

func TestWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a     query.Analysis
		wants []string
	}{
		"count":   {query.Analysis{Kind: query.Count, By: []query.Stratifier{query.BySex, query.ByRace}}, []string{"How many persons are in the cohort, split by sex and race.", "a condition of \"x\""}},
		"moments": {query.Analysis{Kind: query.Moments, Variable: &query.Variable{Concept: 3004249, Unit: "mm[Hg]", Take: "last", Low: 50, High: 260}}, []string{"last value of concept 3004249 in mm[Hg], between 50 and 260"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := Words(query.Request{Cohort: json.RawMessage(definition), Analysis: c.a})
			require.NoError(t, err)
			for _, want := range c.wants {
				require.Contains(t, text, want)
			}
		})
	}
}

func TestVerdictWords(t *testing.T) {
	t.Parallel()
	k := key(t)
	for _, v := range []Verdict{
		{Approve: true},
		{Approve: true, Reason: "two\nlines"},
		{Approve: true, Reason: "a bell \x07"},
		{Approve: true, Reason: "x", Public: "only a refusal says something"},
		{Reason: "x", Public: string(make([]byte, MaxPublic+1))},
	} {
		_, err := Sign(k, v, time.Now(), rand.Reader)
		require.Error(t, err)
	}
}

func TestBands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]Band{0: Under11, 10: Under11, 11: Under101, 100: Under101, 101: Under1001, 1000: Under1001, 1001: Under10k, 10_000: Under10k, 10_001: Over10k} {
		require.Equal(t, want, BandOf(n), n)
	}
}

// TestHistory is of the same question whoever asks it, and of whoever asks.
func TestHistory(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db, "")
		other := key(t)
		require.ErrorIs(t, s.run(t, s.question(t, other)), ErrWaiting)
		first := s.only(t)
		h, err := s.History(t.Context(), first)
		require.NoError(t, err)
		require.Zero(t, h)
		refusal := s.verdict(first, false)
		refusal.Reason = "too broad"
		_, err = s.Record(t.Context(), first.ID, s.sign(t, s.anna, refusal))
		require.NoError(t, err)

		at := s.now
		s.now = s.now.Add(lately + time.Hour)
		c := s.question(t, s.researcher)
		c.Hub.MinCell = 1000 // other limits: the same question
		require.ErrorIs(t, s.run(t, c), ErrWaiting)
		h, err = s.History(t.Context(), s.only(t))
		require.NoError(t, err)
		require.Equal(t, History{Verdicts: []Past{{
			Earlier: Earlier{Researcher: other.DID(), Gate: Run, At: at}, Approver: s.anna.DID(), Reason: "too broad",
		}}}, h)

		s.reopen(t, db, rules(t, head+`decision := {"decision": "automatic", "reason": "x"} if { input.researcher == "`+string(other.DID())+`" } else := {"decision": "human", "gates": ["run"], "reason": "x"}`))
		answered, withheld := s.question(t, other), s.question(t, other)
		require.NoError(t, s.run(t, answered))
		_, err = s.answer(t, answered)
		require.NoError(t, err)
		require.NoError(t, s.run(t, withheld))
		h, err = s.History(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, 1, h.Asked, "what passes by itself is on record with its answer")
		_, err = s.Keep(t.Context(), s.decided)
		require.NoError(t, err)
		h, err = s.History(t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, History{Asked: 2, Lately: 2, Passed: 2}, h)
	})
}
