package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// study returns the command that registers a study, changed.
func (h *hub) study(t *testing.T, key identity.Key, change func(*study.Study)) (study.Study, registry.RegisterStudy) {
	t.Helper()
	s := study.Study{
		Name: "glucose", Version: "1", Title: "Glucose", Trial: h.trial.Design.ID, Purpose: "safety",
		Cohorts:   map[string]json.RawMessage{"all": peertest.Cohort},
		Questions: []study.Question{{Name: "count", Cohort: "all", Analysis: query.Analysis{Kind: query.Count}}},
	}
	change(&s)
	return s, registry.RegisterStudy{Envelope: h.seal(t, key, study.KindStudy, s)}
}

func unchanged(*study.Study) {}

// TestAVersionOfAStudyIsForGood: the same again changes nothing, and nothing else
// takes its place or its name.
func TestAVersionOfAStudyIsForGood(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	author := h.trial.Researcher
	s, register := h.study(t, author, unchanged)
	out := h.must(t, register)
	require.Positive(t, out.LedgerIndex)
	_, again := h.study(t, author, unchanged)
	require.NotEqual(t, register.Envelope.Digest(), again.Envelope.Digest())
	require.True(t, h.must(t, again).Existed, "signed again, it says the same")

	_, other := h.study(t, author, func(s *study.Study) { s.Title = "Another" })
	_, err := h.apply(t, other)
	require.ErrorIs(t, err, registry.ErrStudyExists)
	_, next := h.study(t, author, func(s *study.Study) { s.Title, s.Version = "Another", "2" })
	h.must(t, next)

	got := must(h.reader.Study(t.Context(), "glucose", "1"))
	require.Equal(t, s.Questions, got.Questions)
	require.Equal(t, must(s.Digest()), got.Digest)
	require.Equal(t, out.LedgerIndex, got.LedgerIndex)
	require.Equal(t, "2", must(h.reader.Study(t.Context(), "glucose", "")).Version)
	_, err = h.reader.Study(t.Context(), "glucose", "2026")
	require.ErrorIs(t, err, registry.ErrStudyUnknown)
	require.EqualError(t, err, "no such study: the versions of glucose are 2, 1")
	_, err = h.reader.Study(t.Context(), "glucos", "")
	require.EqualError(t, err, "no such study: did you mean glucose?")
	list := must(h.reader.Studies(t.Context(), 10))
	require.Equal(t, []string{"2", "1"}, []string{list[0].Version, list[1].Version})
	h.replay(t)
}

func TestStudiesThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	other := peertest.NewTrial(t, h.trial.Design.Nodes, h.trial.Design.Disclosure, start)
	other.Design.ID = "glucose-2"
	h.must(t, registry.RegisterTrial{Registration: peertest.Approve(t, other.Design, other.Sponsor, other.Board, start)})
	_, register := h.study(t, h.trial.Researcher, unchanged)
	h.must(t, register)
	for name, c := range map[string]struct {
		key    identity.Key
		change func(*study.Study)
		want   error
	}{
		"by nobody of the trial":    {peertest.NewKey(t), unchanged, trial.ErrResearcher},
		"of an unknown trial":       {h.trial.Researcher, func(s *study.Study) { s.Trial = "other" }, registry.ErrTrialUnknown},
		"of another author's name":  {other.Researcher, func(s *study.Study) { s.Trial, s.Version = "glucose-2", "9" }, registry.ErrStudyName},
		"of another author's words": {other.Researcher, func(s *study.Study) { s.Trial = "glucose-2" }, registry.ErrStudyName},
		"malformed":                 {h.trial.Researcher, func(s *study.Study) { s.Version = "" }, problem.New(problem.Invalid, "study: version: 1 to 32 lower-case letters, digits, dots and dashes, a letter or digit first")},
	} {
		_, command := h.study(t, c.key, c.change)
		before := h.state(t)
		_, err := h.apply(t, command)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, before, h.state(t), name)
	}
	h.replay(t)
}

// TestAQuestionOfAStudyIsWhatTheStudySays: a request that names a study is its
// question, word for word, and the hub tells which questions were asked of it.
func TestAQuestionOfAStudyIsWhatTheStudySays(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	s, register := h.study(t, h.trial.Researcher, unchanged)
	r := must(s.Request("count"))
	ask := func(r query.Request) registry.QueueQuestion {
		c := h.queued(t, 10, 10, query.Normal)
		c.Envelope = h.trial.Sign(t, r, h.at)
		return c
	}
	_, err := h.apply(t, ask(r))
	require.ErrorIs(t, err, registry.ErrStudyUnknown, "it is not registered yet")
	h.must(t, register)
	changed := r
	changed.Purpose = "something else"
	_, err = h.apply(t, ask(changed))
	require.ErrorIs(t, err, study.ErrQuestion)

	first := ask(r)
	h.must(t, first)
	require.True(t, h.must(t, first).Existed)
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: first.Envelope.Digest(), State: query.Withheld}})
	second := ask(r)
	h.must(t, second)
	researcher := h.trial.Researcher.DID()
	require.Equal(t, []registry.StudyQuestion{
		{Name: "count", ID: second.Envelope.Digest(), Researcher: researcher, State: query.Open},
		{Name: "count", ID: first.Envelope.Digest(), Researcher: researcher, State: query.Withheld},
	}, must(h.reader.StudyQuestions(t.Context(), r.Study.Study, 10)))
	require.Equal(t, r.Study, must(h.reader.Question(t.Context(), first.Envelope.Digest())).Request.Study)
	h.replay(t)
}

// TestAResearcherHasSoManyStudies: every replica keeps them for good.
func TestAResearcherHasSoManyStudies(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	author := h.trial.Researcher
	require.NoError(t, h.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 499)
			INSERT INTO study SELECT 'digest ' || i, 'other', i, ?, '', 0, i FROM n`, author.DID())
		return err
	}))
	_, register := h.study(t, author, unchanged)
	h.must(t, register)
	_, register = h.study(t, author, func(s *study.Study) { s.Version = "2" })
	_, err := h.apply(t, register)
	require.ErrorIs(t, err, registry.ErrStudies)
}
