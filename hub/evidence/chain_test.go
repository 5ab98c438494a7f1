package evidence_test

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/consent"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestChainContradicts(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]lie{
		"the log was rewritten after it was anchored": {func(l *tale) string {
			l.chapters[0].At = l.chapters[0].At.Add(-1e9)
			return l.HubAnchor
		}, []string{evidence.CheckChainAnchor}},

		"the log is shorter than every anchored checkpoint": {func(l *tale) string {
			l.chapters = l.chapters[:slices.Index(l.chapters, l.one(entry.QuestionAsked, l.w.repeated.String()))]
			return l.HubAnchor
		}, []string{evidence.CheckChainAnchor}},

		"a consent epoch is not the one that was posted": {func(l *tale) string {
			// The same consents, signed and logged again.
			c := l.epoch(1)
			digest := forge(l, c, l.w.sites[1].key, func(*consent.Epoch) {})
			l.link(1, func(a *query.Answered) { a.Epoch = digest }, func(a *query.Access) { a.Epoch = digest })
			return string(l.w.sites[1].key.DID())
		}, []string{evidence.CheckChainAnchor, evidence.CheckChainRoot}},

		"a node proved something else before": {func(l *tale) string {
			more := l.w.access(l.t.Context(), l.w.sites[1], l.w.complete, query.Count, []int{0, 1, 2}, minCell+1)
			forge(l, l.access(1), l.w.sites[1].key, func(a *query.Access) { *a = more })
			return string(l.w.sites[1].key.DID())
		}, []string{evidence.CheckChainAnchor, evidence.CheckChainAccess}},

		"the contracts are of another network": {func(l *tale) string {
			l.HubAnchor, l.ConsentRoots = l.ConsentRoots, l.HubAnchor
			return l.HubAnchor
		}, []string{evidence.CheckChainAnchor, evidence.CheckChainRoot}},

		"it is another chain": {func(l *tale) string {
			l.ChainID++
			return l.AccessLog
		}, []string{evidence.CheckAccessProof, evidence.CheckChain}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			where := lie.tell(l)
			report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, l.w.chain.URL(), l.w.complete)
			require.NoError(t, err)
			requireFails(t, report, lie.fails, where)
		})
	}
}

// TestUnreachableChain wants no silent pass, and no token of the endpoint's URL
// in the report.
func TestUnreachableChain(t *testing.T) {
	t.Parallel()
	w := network(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	report, err := evidence.VerifyQuery(t.Context(), w.source, w.trust, "http://"+closed.Addr().String()+"/secret-token", w.complete)
	require.NoError(t, err)
	requireFails(t, report, []string{evidence.CheckChain}, "unreachable")
	for _, c := range report.Checks {
		require.NotContains(t, c.String(), "secret-token")
	}
}
