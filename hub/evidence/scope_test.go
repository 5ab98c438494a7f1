package evidence_test

import (
	"crypto/rand"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// scopes are all that a verification of the shared network can be about, apart from questions.
func scopes(w *world) map[string]evidence.Scope {
	return map[string]evidence.Scope{
		"trial": {Trial: trialID}, "node": {Node: w.sites[0].key.DID()},
		"silent node": {Node: w.sites[2].key.DID()}, "revoked node": {Node: w.sites[3].key.DID()},
	}
}

// passed returns the details of the checks of a name that passed.
func passed(report evidence.Report, name string) (details []string) {
	for _, c := range report.Checks {
		if c.Name == name && c.OK {
			details = append(details, c.Detail)
		}
	}
	return details
}

func TestTrialAndNodeVerify(t *testing.T) {
	t.Parallel()
	w := network(t)
	found := make(map[string]evidence.Report)
	for name, scope := range scopes(w) {
		report, err := evidence.Verify(t.Context(), w.source, w.trust, w.chain.URL(), scope)
		require.NoError(t, err)
		require.Empty(t, report.Failed(), name)
		found[name] = report
	}
	whole := found["trial"]
	require.Len(t, passed(whole, evidence.CheckSigned), 1)
	require.Len(t, passed(whole, evidence.CheckMembers), 3)
	require.Len(t, passed(whole, evidence.CheckPlans), 1)
	require.Equal(t, []string{"the log records 5 questions about the trial, of which 3 were answered"}, passed(whole, evidence.CheckQuestions))
	require.Len(t, passed(whole, evidence.CheckAccessProof), 5, "of three nodes and two, a repeated answer not again")
	require.Len(t, passed(whole, evidence.CheckChainProof), 5)
	require.Len(t, passed(whole, evidence.CheckRepeats), 1)

	require.Contains(t, passed(found["node"], evidence.CheckEpochChain)[0], "2 epochs of trial glucose-1")
	require.Len(t, passed(found["node"], evidence.CheckAccessProof), 2, "its own")
	require.Contains(t, passed(found["silent node"], evidence.CheckAnswers)[0], "names the node in 2 answers; it refused 0 questions, and gave no answer to 1")
	require.Contains(t, passed(found["revoked node"], evidence.CheckActs)[0], "ended: test")
}

// A question that is open is no fault of a trial; a log says how old it is.
func TestAnOpenQuestionIsNoFault(t *testing.T) {
	t.Parallel()
	l := truth(t, network(t))
	for _, site := range []int{0, 1, 2} {
		l.remove(l.access(site))
	}
	l.remove(l.result())
	l.remove(l.one(entry.QuestionAnswered, l.w.repeated.String()))
	l.remove(l.one(entry.QuestionAsked, l.w.repeated.String()))
	report, err := evidence.VerifyTrial(t.Context(), l.tell(), *l.Trust, "", trialID)
	require.NoError(t, err)
	require.Empty(t, report.Failed())
	require.True(t, slices.ContainsFunc(report.Checks, func(c evidence.Check) bool {
		return c.Name == evidence.CheckResult && c.Subject == l.id.String() && c.Skipped != ""
	}))
}

func TestCopiesOfTrialsAndNodesVerifyAlone(t *testing.T) {
	t.Parallel()
	w := network(t)
	for name, scope := range scopes(w) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			exported, err := evidence.Export(t.Context(), w.source, w.trust, scope, dir)
			require.NoError(t, err)
			require.Empty(t, exported.Failed())
			copied := evidence.NewDir(os.DirFS(dir))
			said, partial, err := copied.Scope()
			require.NoError(t, err)
			require.True(t, partial)
			require.Equal(t, scope, said)
			report, err := evidence.Verify(t.Context(), copied, w.trust, "", said)
			require.NoError(t, err)
			require.Equal(t, exported, report)

			for what, other := range map[string]evidence.Scope{"trial": {Trial: "another"}, "node": {Node: w.sites[1].key.DID()}} {
				report, err := evidence.Verify(t.Context(), copied, w.trust, "", other)
				require.NoError(t, err)
				require.Contains(t, report.Failed()[0].Detail, scope.String(), what)
			}
			report, err = evidence.VerifyLedger(t.Context(), copied, w.trust, "")
			require.NoError(t, err)
			require.Empty(t, report.Failed(), "what it has of the whole log is right")
		})
	}

	dir := t.TempDir()
	_, err := evidence.Export(t.Context(), w.source, w.trust, evidence.Scope{Trial: trialID}, dir)
	require.NoError(t, err)
	report, err := evidence.VerifyQuery(t.Context(), evidence.NewDir(os.DirFS(dir)), w.trust, "", w.partial)
	require.NoError(t, err)
	require.Empty(t, report.Failed(), "the copy of a trial has all of its questions")
}

// trialLies are told about the trial as a whole, and are not those of one question.
var trialLies = map[string]lie{
	"a trial that is nowhere": {func(l *tale) string { l.remove(l.trial()); return string(trialID) }, []string{evidence.CheckSigned}},
	"another design later": {func(l *tale) string {
		again := *l.trial()
		l.chapters = append(l.chapters, &again)
		again.At = l.chapters[len(l.chapters)-2].At
		edit(l, &again, func(r *trial.Registration) {
			*r = l.w.registration()
		})
		return l.entry(&again)
	}, []string{evidence.CheckSigned}},
	"no approval": {func(l *tale) string {
		l.Boards = []identity.DID{l.w.sponsor.DID()}
		return string(trialID)
	}, []string{evidence.CheckSigned}},
	"consents of a stranger": {func(l *tale) string {
		again := *l.epoch(1)
		l.insert(&again, l.question())
		forge(l, &again, l.w.sites[3].key, func(e *consent.Epoch) { e.Node, e.Changes = l.w.sites[3].key.DID(), 0 })
		return string(l.w.sites[3].key.DID())
	}, []string{evidence.CheckMembers}},
	"a node that is not enrolled by the hub": {func(l *tale) string {
		c := l.one(entry.NodeEnrolled, string(l.w.sites[2].key.DID()))
		c.Actor = l.w.sponsor.DID()
		return l.entry(c)
	}, []string{evidence.CheckMembers, evidence.CheckEnrolled}},
	"a study of a stranger": {func(l *tale) string {
		c := l.one(entry.StudyRegistered, saved().String())
		forge(l, c, l.w.sponsor, func(*study.Study) {})
		return l.entry(c)
	}, []string{evidence.CheckPlans, evidence.CheckStudy}},
	"an epoch that is hidden": {func(l *tale) string {
		first := l.all(entry.ConsentEpoch, string(trialID))[0]
		l.remove(first)
		return string(l.w.sites[0].key.DID())
	}, []string{evidence.CheckEpochChain}},
	"an epoch without a proof that nobody asked under": {func(l *tale) string {
		again := *l.epoch(1)
		l.chapters = append(l.chapters, &again)
		again.At = l.chapters[len(l.chapters)-2].At
		before := must(message.Parse(l.epoch(1).document)).Digest()
		forge(l, &again, l.w.sites[1].key, func(e *consent.Epoch) {
			e.Number, e.Revises, e.Shards[0].Matrix[31] = 2, before, e.Shards[0].Matrix[31]^1
		})
		return l.entry(&again)
	}, []string{evidence.CheckEpochProof}},
	"a result that nobody asked for": {func(l *tale) string {
		c := l.one(entry.QuestionAnswered, l.w.cancelled.String())
		l.remove(l.one(entry.QuestionAsked, l.w.cancelled.String()))
		return l.entry(c)
	}, []string{evidence.CheckResult}},
	"two results": {func(l *tale) string {
		again := *l.result()
		l.insert(&again, l.access(0))
		return l.id.String()
	}, []string{evidence.CheckResult, evidence.CheckRepeats}},
	"a question without a signature": {func(l *tale) string {
		c := l.one(entry.QuestionAsked, l.w.cancelled.String())
		c.document = append([]byte(nil), c.document...)
		c.document[len(c.document)-20] ^= 1
		return l.entry(c)
	}, []string{evidence.CheckQuestion}},
}

func TestLiesAboutATrialAreFound(t *testing.T) {
	t.Parallel()
	testLies(t, trialLies, func(*world) evidence.Scope { return evidence.Scope{Trial: trialID} })
}

// nodeOnlyLies are told about the first node as a whole.
var nodeOnlyLies = map[string]lie{
	"a node that is not enrolled": {func(l *tale) string {
		l.remove(l.one(entry.NodeEnrolled, string(l.w.sites[0].key.DID())))
		return string(l.w.sites[0].key.DID())
	}, []string{evidence.CheckEnrolled}},
	"a node that the hub did not enroll": {func(l *tale) string {
		c := l.one(entry.NodeEnrolled, string(l.w.sites[0].key.DID()))
		c.Actor = l.w.sponsor.DID()
		return l.entry(c)
	}, []string{evidence.CheckEnrolled}},
	"entries after its end": {func(l *tale) string {
		c := l.one(entry.NodeRevoked, string(l.w.sites[3].key.DID()))
		again := *c
		again.Subject = string(l.w.sites[0].key.DID())
		edit(l, &again, func(r *entry.Revocation) { r.Node = l.w.sites[0].key.DID() })
		l.insert(&again, l.epoch(0))
		again.At = l.epoch(0).At
		return l.entry(l.epoch(0))
	}, []string{evidence.CheckActs}},
	"an end by somebody else": {func(l *tale) string {
		c := l.one(entry.NodeRevoked, string(l.w.sites[3].key.DID()))
		c.Subject, c.Actor = string(l.w.sites[0].key.DID()), l.w.sponsor.DID()
		edit(l, c, func(r *entry.Revocation) { r.Node = l.w.sites[0].key.DID() })
		return l.entry(c)
	}, []string{evidence.CheckActs}},
	"an epoch that is hidden": trialLies["an epoch that is hidden"],
	"leaves that are hidden": {func(l *tale) string {
		l.remove(l.by(entry.ConsentChanged, string(trialID), l.w.sites[0].key.DID()))
		return l.entry(l.epoch(0))
	}, []string{evidence.CheckTrees, evidence.CheckEpochTree}},
	"a proof about an answer that it did not give": {func(l *tale) string {
		c := *l.access(0)
		l.chapters = append(l.chapters, &c)
		c.At, c.Subject = l.chapters[len(l.chapters)-2].At, l.w.withheld.String()
		forge(l, &c, l.w.sites[0].key, func(a *query.Access) {
			a.Query, a.Proof, a.Used[31] = l.w.withheld, slices.Concat(a.Proof[:len(a.Proof)-1], []byte{1}), a.Used[31]^1
		})
		return l.entry(&c)
	}, []string{evidence.CheckAccess}},
	"a proof of figures that it did not send, and that comes after its end as one may": {func(l *tale) string {
		end := *l.one(entry.NodeRevoked, string(l.w.sites[3].key.DID()))
		c := *l.access(0)
		end.At = l.chapters[len(l.chapters)-1].At
		end.Subject = string(l.w.sites[0].key.DID())
		edit(l, &end, func(r *entry.Revocation) { r.Node = l.w.sites[0].key.DID() })
		l.chapters = append(l.chapters, &end, &c)
		c.At, c.Kind, c.Subject = end.At, entry.ResultProved, l.w.withheld.String()
		l.write(&c, must(message.Seal(l.w.sites[0].key, query.KindProved, query.Proved{
			Node: l.w.sites[0].key.DID(), Query: l.w.withheld, Used: []query.Commitment{{1}}, Cover: []byte{1}, Release: []byte{2},
		}, c.At, time.Hour, rand.Reader)))
		return l.entry(&c)
	}, []string{evidence.CheckFigures}},
	"about its proof": nodeLies["and states more records than it proves"],
}

func TestLiesAboutANodeAreFound(t *testing.T) {
	t.Parallel()
	testLies(t, nodeOnlyLies, func(w *world) evidence.Scope { return evidence.Scope{Node: w.sites[0].key.DID()} })
}

func testLies(t *testing.T, lies map[string]lie, of func(*world) evidence.Scope) {
	for _, what := range slices.Sorted(maps.Keys(lies)) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			where := lies[what].tell(l)
			report, err := evidence.Verify(t.Context(), l.tell(), *l.Trust, "", of(l.w))
			require.NoError(t, err)
			requireFails(t, report, lies[what].fails, where)
		})
	}
}
