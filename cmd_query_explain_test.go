package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestNumbersLinkToWhatTheyRestOn: one site decided by rules of its own and two people, one
// by the default rules alone, and one is from before there were any.
func TestNumbersLinkToWhatTheyRestOn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	sum := func(text string) message.Digest { return message.Sum([]byte(text)) }
	first := client.Question{
		ID: sum("first"), Researcher: "did:key:zFirst",
		Accesses: []client.Access{{Node: "did:key:zA", LedgerIndex: 21, Tx: "0xab", Block: 5}, {Node: "did:key:zB", LedgerIndex: 22}},
	}
	q := client.Question{
		ID: sum("q"), Researcher: "did:key:zR", LedgerIndex: 30, ResultIndex: 31,
		Result: &query.Result{
			State: query.Complete, Repeats: &first.ID, Policy: disclosure.Default(), WithheldCells: 1,
			Answered: []query.Answered{
				{Node: "did:key:zA", AtLeast: 11, Epoch: sum("epoch"), Leave: &query.Leave{
					Policy: sum("own"), Verdicts: []message.Digest{sum("run"), sum("release")}, Approvers: []identity.DID{"did:key:zAnna", "did:key:zBen"},
				}},
				{Node: "did:key:zB", AtLeast: 11, Leave: &query.Leave{Policy: sum("default")}},
				{Node: "did:key:zC", AtLeast: 1},
			},
		},
	}
	e := explain(q, first, sum("default"), report.Sites{"did:key:zA": "North Hospital"}, " --from https://hub --trust trust.json")
	var out bytes.Buffer
	require.NoError(t, printExplanation(&out, q, e, nil, now))
	text := out.String()
	for _, line := range []string{
		"request     entry 30 of the ledger, signed by did:key:zR",
		"result      entry 31 of the ledger",
		"repeats     the answer to " + first.ID.String() + ", whose proofs these are",
		"limits      cells of 11, rounded to 5, of 3 sites at least",
		"numbers     each is over these 3 sites together; the hub saw none of one site alone, and in some cells sites kept theirs back",
		"site        North Hospital, did:key:zA\n  policy    " + sum("own").String() + "\n            the site's own rules: the site shows them, and trialmesh node approvals policy BUNDLE prints their digest",
		"  verdict   " + sum("release").String() + " by did:key:zBen",
		"  consents  epoch " + sum("epoch").String(),
		"  proof     entry 21 of the ledger, of at least 11 records with consent, on the chain in block 5 by transaction 0xab",
		"  check     trialmesh verify proof " + first.ID.String() + " did:key:zA --from https://hub --trust trust.json",
		"            the default rules of this version: trialmesh node approvals policy --text\n  approver  nobody: the rules let it pass",
		"  proof     entry 22 of the ledger, of at least 11 records with consent, not on a chain",
		"  policy    a node from before sites had rules of their own",
		"  proof     still to come",
		"check all   trialmesh verify query " + q.ID.String() + " --from https://hub --trust trust.json",
	} {
		require.Contains(t, text, line+"\n")
	}

	q.Result.Answered[0].Leave.Approvers = nil
	out.Reset()
	require.NoError(t, printExplanation(&out, q, explain(q, first, sum("default"), nil, ""), nil, now))
	require.Contains(t, out.String(), sum("run").String()+" by a person whose name stays at the site")

	q.Result, q.Asked, q.Waiting = nil, now.Add(-90*time.Minute), []identity.DID{"did:key:zA"}
	out.Reset()
	require.NoError(t, printExplanation(&out, q, explain(q, q, sum("default"), nil, ""), nil, now))
	require.Contains(t, out.String(), "numbers  there are none yet")
	require.Contains(t, out.String(), "waits    for the people of …d:key:zA to approve, 1h30m0s after it was asked\n")
}
