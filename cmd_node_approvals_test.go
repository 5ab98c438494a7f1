package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	desk "github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// TestApprovalIsShownInTheSitesWords: a question about HIV that its researcher calls one
// about influenza, with what would act on a terminal.
func TestApprovalIsShownInTheSitesWords(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.Local)
	a := client.Approval{
		Gate: "run", State: "refused", Asked: at, Until: at.Add(time.Hour), Why: "each is looked at", Trial: "bp", Researcher: "did:key:zR",
		Purpose: "flu\x1b[2J\u202e only\nstate  approved", Words: "How many persons are in the cohort.\nA condition of \"flu\"\n",
		Domains: []string{"ConditionOccurrence", "Person"}, Concepts: 26, Size: "not counted", Otherwise: 1, Unknown: 1,
		Before: &client.ApprovalPast{Asked: 12, Lately: 3, Denied: 1, Verdicts: []client.ApprovalPastDecision{
			{Researcher: "did:key:zR", Approver: "did:key:zAnna45678", Gate: "run", At: at, Reason: "too broad"},
		}},
		Named: []client.ApprovalPlace{
			{What: "concept set", Name: "flu\x07", Reach: 143, More: 5, Concepts: append([]client.ApprovalConcept{
				{
					ID: 439727, Known: true, Name: "Human immunodeficiency virus infection", Domain: "Condition", Vocabulary: "SNOMED", Code: "86406008",
					Standard: true, Theirs: "Influenza\u202e", Otherwise: true, Descendants: true,
				},
				{ID: 77, Theirs: "x", Excluded: true, Mapped: true},
			}, make([]client.ApprovalConcept, 20)...)},
			{What: "variable", Refusal: "no hierarchy", Concepts: []client.ApprovalConcept{{ID: 8, Known: true, Name: "Old", Domain: "Unit", Vocabulary: "UCUM", Code: "o"}}},
		},
		Cells: []client.ApprovalCell{
			{Together: []string{"age", "sex", "bp"}, N: 15, Omitted: 5}, {Together: []string{"age"}, Size: "11 to 100"},
		},
	}
	show := newNodeApprovalsShow()
	var out bytes.Buffer
	show.SetOut(&out)
	require.NoError(t, printApproval(show, a))
	text := out.String()
	for _, line := range []string{
		`purpose          "flu\x1b[2J\u202e only\nstate  approved"`,
		"asked before     12 other questions by this researcher, 3 of them in the 30 days before",
		"decided before   the same of this researcher was refused before the question runs on 2026-03-02 09:00:00 by …nna45678: too broad",
		"decided before   the policy refused the same 1 time",
		"persons here     not counted; show --size counts them",
		"look out         ! the researcher calls 1 concept otherwise than this site does",
		"look out         ? this site's vocabulary does not have 1 concept",
		`concepts         concept set "flu\a": comes to 143 standard concepts here`,
		`                   ! 439727 Human immunodeficiency virus infection (Condition, SNOMED 86406008), with everything below it; the researcher calls it "Influenza\u202e"`,
		`                   ? 77 excluded: not in this site's vocabulary, with the source concepts that map to it; the researcher calls it "x"`,
		"                     and 7 more",
		"                 variable: no hierarchy",
		"                     8 Old (Unit, UCUM o), not standard",
		"                 age, sex and bp together: 15 persons here, who have a value of each; 5 without are left out",
		"                 age alone: 11 to 100 persons here, who have a value of it",
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\u202e")
}

// TestVerdictsThatAreNotTaken say what holds, and what to do.
func TestVerdictsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.Local)
	a := client.Approval{State: "approved", Until: at, Decided: at, Verdict: &message.Envelope{Issuer: "did:key:zAnna"}}
	for want, err := range map[string]error{
		"the key is did:key:zBen: have it added to approver":          desk.ErrApprover,
		"another of the site's approvers has to":                      desk.ErrOwn,
		"it waited until 2026-03-02 09:00:00":                         desk.ErrOver,
		"it was approved on 2026-03-02 09:00:00 by did:key:zAnna":     desk.ErrApproved,
		"can no longer be changed (rule approval.decided); it was":    desk.ErrDecided,
		"if the researcher asks again, that is decided anew (rule":    desk.ErrStands,
		"the question is judged anew when the hub brings it again":    desk.ErrOldPolicy,
		"about another question, gate, policy or other numbers (rule": desk.ErrOther,
	} {
		told := undecided(fmt.Errorf("node: %w", err), a, identity.DID("did:key:zBen"))
		require.ErrorContains(t, told, want)
		require.ErrorIs(t, told, err)
		require.Equal(t, exitError, statusOf(told))
	}
	require.NoError(t, undecided(nil, a, ""))
}

func TestPurposeInAList(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"a\x1b[2Jb"`, briefly("a\x1b[2Jb"))
	require.Equal(t, `"`+strings.Repeat("ä", 60)+`…"`, briefly(strings.Repeat("ä", 500)))
}
