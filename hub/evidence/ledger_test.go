package evidence_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Lies that the whole log shows, whatever question is asked.
var ledgerLies = map[string]lie{
	"a document was altered": {func(l *tale) string {
		c := l.epoch(0)
		c.document = bytes.Replace(c.document, []byte(`"number":2`), []byte(`"number":3`), 1)
		return c.Digest.String()
	}, []string{evidence.CheckDocuments, evidence.CheckTrees}},

	"a document is missing": {func(l *tale) string {
		l.access(1).document = nil
		return l.access(1).Digest.String()
	}, []string{evidence.CheckDocuments}},

	"an entry is about another trial": {func(l *tale) string {
		c := l.epoch(0)
		c.Subject = "other"
		return l.entry(c)
	}, []string{evidence.CheckDocuments, evidence.CheckTrees}},

	"an entry names another actor": {func(l *tale) string {
		c := l.access(0)
		c.Actor = l.w.sites[1].key.DID()
		return l.entry(c)
	}, []string{evidence.CheckDocuments}},

	"a design was signed by another": {func(l *tale) string {
		l.trial().Actor = l.w.board.DID()
		return l.entry(l.trial())
	}, []string{evidence.CheckDocuments}},

	"an approval is about another design": {func(l *tale) string {
		edit(l, l.trial(), func(r *trial.Registration) {
			c := chapter{document: must(canonical.Marshal(r.Design))}
			forge(l, &c, l.w.sponsor, func(d *trial.Design) { d.Title = "Other" })
			r.Design = must(message.Parse(c.document))
		})
		return l.entry(l.trial())
	}, []string{evidence.CheckDocuments}},

	"a node speaks for another": {func(l *tale) string {
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { a.Node = l.w.sites[1].key.DID() })
		return l.entry(l.access(0))
	}, []string{evidence.CheckDocuments}},

	"somebody else enrolls a node": {func(l *tale) string {
		c := l.one(entry.NodeEnrolled, string(l.w.sites[0].key.DID()))
		c.Actor = l.w.sponsor.DID()
		return l.entry(c)
	}, []string{evidence.CheckDocuments}},

	"time runs backwards": {func(l *tale) string {
		c := l.question()
		c.At = c.At.Add(-time.Hour)
		return l.entry(c)
	}, []string{evidence.CheckEntries}},

	"a proof serves twice": {func(l *tale) string {
		l.reuse(0, l.by(entry.AccessProved, l.w.partial.String(), l.w.sites[0].key.DID()))
		return l.entry(l.by(entry.AccessProved, l.w.partial.String(), l.w.sites[0].key.DID()))
	}, []string{evidence.CheckProofsOnce}},

	"an anchor is of another log": {func(l *tale) string {
		c := l.chapters[len(l.chapters)-1]
		edit(l, c, func(a *entry.Anchor) { a.Root[0] ^= 1 })
		return l.entry(c)
	}, []string{evidence.CheckAnchors}},

	"history was rewritten after it was anchored": {func(l *tale) string {
		l.remove(l.access(2))
		return l.entry(l.chapters[len(l.chapters)-1])
	}, []string{evidence.CheckAnchors}},
}

func TestLedgerLiesAreFound(t *testing.T) {
	t.Parallel()
	for name, lie := range ledgerLies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			last := l.chapters[len(l.chapters)-1]
			where := lie.tell(l)
			if !slices.Contains(lie.fails, evidence.CheckAnchors) {
				l.remove(last) // every change contradicts the anchor as well
			}
			report, err := evidence.VerifyLedger(t.Context(), l.tell(), *l.Trust, "")
			require.NoError(t, err)
			requireFails(t, report, lie.fails, where)
		})
	}
}

func TestUnknownEntriesAreLeftAlone(t *testing.T) {
	t.Parallel()
	l := truth(t, network(t))
	later := &chapter{Entry: entry.Entry{Kind: 99, At: l.chapters[len(l.chapters)-1].At, Actor: l.w.hub.DID(), Subject: "new"}}
	l.write(later, map[string]string{"of": "a later version"})
	l.chapters = append(l.chapters, later)
	report, err := evidence.VerifyLedger(t.Context(), l.tell(), *l.Trust, "")
	require.NoError(t, err)
	require.Empty(t, report.Failed())
}

func TestRepeatedAnswersAreComparedWithTheFirst(t *testing.T) {
	t.Parallel()
	result := func(l *tale) *chapter { return l.one(entry.QuestionAnswered, l.w.repeated.String()) }
	for name, lie := range map[string]lie{
		"altered": {func(l *tale) string {
			edit(l, result(l), func(r *query.Result) { r.Cells[0].N++; r.Total.N++ })
			return l.entry(result(l))
		}, []string{evidence.CheckRepeats}},
		"of another question": {func(l *tale) string {
			edit(l, result(l), func(r *query.Result) { r.Repeats = &l.w.partial })
			return l.w.partial.String()
		}, []string{evidence.CheckRepeats}},
		"of itself": {func(l *tale) string {
			edit(l, result(l), func(r *query.Result) { r.Repeats = &l.w.repeated })
			return l.w.repeated.String()
		}, []string{evidence.CheckRepeats}},
		"of one that nobody asked": {func(l *tale) string {
			edit(l, result(l), func(r *query.Result) { r.Repeats = &message.Digest{1} })
			return message.Digest{1}.String()
		}, []string{evidence.CheckQuestion, evidence.CheckRepeats}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			where := lie.tell(l)
			report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.w.repeated)
			require.NoError(t, err)
			requireFails(t, report, lie.fails, where)
		})
	}
}

func TestOneProof(t *testing.T) {
	t.Parallel()
	w := network(t)
	for i := range 2 {
		l := truth(t, w)
		l.remove(l.access(1))
		report, err := evidence.VerifyProof(t.Context(), l.tell(), w.trust, "", w.complete, w.sites[i].key.DID())
		require.NoError(t, err)
		if i == 1 {
			requireFails(t, report, []string{evidence.CheckAccess}, string(w.sites[1].key.DID()))
		} else {
			require.Empty(t, report.Failed(), "the missing proof is another node's")
		}
	}
	report, err := evidence.VerifyProof(t.Context(), w.source, w.trust, "", w.complete, w.sites[3].key.DID())
	require.NoError(t, err)
	requireFails(t, report, []string{evidence.CheckAccess}, string(w.sites[3].key.DID()))
	_, err = evidence.VerifyProof(t.Context(), w.source, w.trust, "", w.complete, "nobody")
	require.Error(t, err)
}

func TestWithoutChainItSaysSo(t *testing.T) {
	t.Parallel()
	w := network(t)
	report, err := evidence.VerifyQuery(t.Context(), w.source, w.trust, "", w.complete)
	require.NoError(t, err)
	skipped := make(map[string]string)
	for _, c := range report.Checks {
		if c.Skipped != "" {
			require.False(t, c.OK || c.Failed())
			skipped[c.Name] = c.Skipped
		}
	}
	require.Contains(t, skipped[evidence.CheckChain], "no chain endpoint")
	require.Contains(t, skipped[evidence.CheckNumbers], "not proven")
}

func TestDevelopmentKeysAreNamed(t *testing.T) {
	t.Parallel()
	w := network(t)
	trust := w.trust
	trust.Circuits, trust.Boards = nil, nil
	report, err := evidence.VerifyQuery(t.Context(), w.source, trust, "", w.complete)
	require.NoError(t, err)
	require.Empty(t, report.Failed())
	details := make(map[string]string)
	for _, c := range report.Checks {
		details[c.Name] = c.Detail
	}
	for _, name := range []string{evidence.CheckEpochProof, evidence.CheckAccessProof} {
		require.Contains(t, details[name], "could forge")
		require.Contains(t, details[name], "the hub registered")
	}
	require.Contains(t, details[evidence.CheckApproval], "names no boards")
}

func TestStoppedVerificationSaysSo(t *testing.T) {
	t.Parallel()
	w := network(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := evidence.VerifyLedger(ctx, w.source, w.trust, "")
	require.ErrorIs(t, err, context.Canceled)
}
