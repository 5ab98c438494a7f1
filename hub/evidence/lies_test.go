package evidence_test

import (
	"crypto/rand"
	"slices"
	"strings"
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

// lie changes the log, with every signature the liar can make, and returns what
// the failed check has to name.
type lie struct {
	tell  func(l *tale) (where string)
	fails []string // names of the checks that fail, each once
}

// Lies of a node. The hub, or a hub that conspires, records them.
var nodeLies = map[string]lie{
	"about its consent root": {func(l *tale) string {
		return l.falseEpoch(0, func(e *consent.Epoch) { e.Shards[0].Root[31] ^= 1 })
	}, []string{evidence.CheckEpochTree, evidence.CheckEpochProof, evidence.CheckAccessProof}},

	"and names no leaves although it published some": {func(l *tale) string {
		return l.falseEpoch(0, func(e *consent.Epoch) { e.Changes = 0 })
	}, []string{evidence.CheckEpochTree}},

	"about leaves that it keeps to itself": {func(l *tale) string {
		l.remove(l.by(entry.ConsentChanged, string(trialID), l.w.sites[0].key.DID()))
		return l.entry(l.epoch(0))
	}, []string{evidence.CheckEpochTree}},

	"about leaves that it published later": {func(l *tale) string {
		l.move(l.by(entry.ConsentChanged, string(trialID), l.w.sites[1].key.DID()), l.question())
		return l.entry(l.epoch(1))
	}, []string{evidence.CheckEpochTree}},

	"about who permits what": {func(l *tale) string {
		return l.falseEpoch(0, func(e *consent.Epoch) { e.Shards[0].Matrix[31] ^= 1 })
	}, []string{evidence.CheckEpochProof, evidence.CheckAccessProof}},

	"about the time its consents hold": {func(l *tale) string {
		return l.falseEpoch(0, func(e *consent.Epoch) { e.Shards[0].To = e.Shards[0].To.Add(time.Hour) })
	}, []string{evidence.CheckEpochProof, evidence.CheckAccessProof}},

	"and answers under consents of yesterday": {func(l *tale) string {
		return l.falseEpoch(0, func(e *consent.Epoch) {
			for i := range e.Shards {
				e.Shards[i].From, e.Shards[i].To = noon.Add(-25*time.Hour), noon.Add(-24*time.Hour)
			}
		})
	}, []string{evidence.CheckWindow, evidence.CheckEpochProof, evidence.CheckAccessProof}},

	"and drops a record from its proof": {func(l *tale) string {
		dropped := l.w.access(l.t.Context(), l.w.sites[0], l.w.complete, query.Count, []int{0, 1}, minCell)
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { *a = dropped })
		return l.entry(l.access(0))
	}, []string{evidence.CheckCommitment}},

	"and proves fewer records than it committed to": {func(l *tale) string {
		dropped := l.w.access(l.t.Context(), l.w.sites[0], l.w.complete, query.Count, []int{0, 1}, minCell)
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { a.Proof = dropped.Proof })
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"and states more records than it proves": {func(l *tale) string {
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { a.AtLeast++ })
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"and proves too few records": {func(l *tale) string {
		few := l.w.access(l.t.Context(), l.w.sites[0], l.w.complete, query.Count, []int{0, 1, 2}, minCell-1)
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { *a = few })
		return l.entry(l.access(0))
	}, []string{evidence.CheckCount}},

	"and reuses the proof of another question": {func(l *tale) string {
		l.reuse(0, l.by(entry.AccessProved, l.w.partial.String(), l.w.sites[0].key.DID()))
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"and hands in a statement about another question": {func(l *tale) string {
		other := l.by(entry.AccessProved, l.w.partial.String(), l.w.sites[0].key.DID())
		l.access(0).document, l.access(0).Digest = other.document, other.Digest
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessAbout, evidence.CheckCommitment, evidence.CheckScopes}},

	"and claims another node's proof": {func(l *tale) string {
		var theirs query.Access
		forge(l, l.access(1), l.w.sites[1].key, func(a *query.Access) { theirs = *a })
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { a.Proof, a.Used, a.Epoch = theirs.Proof, theirs.Used, theirs.Epoch })
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessEpoch, evidence.CheckCommitment}},

	"and claims another node's proof and commitment": {func(l *tale) string {
		var theirs query.Access
		forge(l, l.access(1), l.w.sites[1].key, func(a *query.Access) { theirs = *a })
		l.link(0, func(a *query.Answered) { a.Commitment = theirs.Used }, func(a *query.Access) { a.Proof, a.Used = theirs.Proof, theirs.Used })
		return l.entry(l.access(0))
	}, []string{evidence.CheckCommitment}},

	"and signs for another node": {func(l *tale) string {
		c := l.access(0)
		forge(l, c, l.w.sites[1].key, func(*query.Access) {})
		c.Actor = l.w.sites[0].key.DID()
		return l.entry(c)
	}, []string{evidence.CheckAccessBy}},

	"and answers under another node's consents": {func(l *tale) string {
		l.link(0, func(a *query.Answered) { a.Epoch = l.w.sites[1].envelope.Digest() }, func(a *query.Access) { a.Epoch = l.w.sites[1].envelope.Digest() })
		return string(l.w.sites[0].key.DID())
	}, []string{evidence.CheckEpoch, evidence.CheckAccessProof}},

	"and proves other scopes": {func(l *tale) string {
		other := l.w.accessFor(l.t.Context(), l.w.sites[0], l.w.complete, consent.MaskOf(consent.Statistics), []int{0, 1, 2}, minCell)
		forge(l, l.access(0), l.w.sites[0].key, func(a *query.Access) { *a = other })
		return l.entry(l.access(0))
	}, []string{evidence.CheckScopes}},

	"and publishes its consents after the question": {func(l *tale) string {
		epoch := l.epoch(1)
		l.move(epoch, l.result())
		return l.entry(epoch)
	}, []string{evidence.CheckEpoch, evidence.CheckAccessProof}},

	"and hides a newer epoch": {func(l *tale) string {
		// The first epoch of site 0 is answered under although the second is there.
		old := l.all(entry.ConsentEpoch, string(trialID))[0]
		e, err := message.Parse(old.document)
		require.NoError(l.t, err)
		for _, c := range l.chapters[l.index(l.question()):] {
			c.At = c.later(600)
		}
		edit(l, l.result(), func(r *query.Result) { r.Asked, r.Finished = l.question().At, l.result().At })
		l.link(0, func(a *query.Answered) { a.Epoch = e.Digest() }, nil)
		return l.entry(old)
	}, []string{evidence.CheckEpochNewest, evidence.CheckAccessEpoch}},

	"and leaves an epoch out": {func(l *tale) string {
		l.remove(l.all(entry.ConsentEpoch, string(trialID))[0])
		return l.entry(l.epoch(0))
	}, []string{evidence.CheckEpochChain}},
}

// Lies of a hub that holds the log's key.
var hubLies = map[string]lie{
	"and omits an approval": {func(l *tale) string {
		edit(l, l.trial(), func(r *trial.Registration) { r.Approvals = nil })
		return l.entry(l.trial())
	}, []string{evidence.CheckApproval}},

	"and makes up a board": {func(l *tale) string {
		key := must(identity.Generate(rand.Reader))
		edit(l, l.trial(), func(r *trial.Registration) {
			approval := trial.Approval{Trial: trialID, Design: r.Design.Digest(), Statement: "fine"}
			r.Approvals = []message.Envelope{must(message.Seal(key, trial.KindApproval, approval, noon, time.Hour, rand.Reader))}
		})
		return string(trialID)
	}, []string{evidence.CheckApproval}},

	"and lets a design in that was not signed": {func(l *tale) string {
		edit(l, l.trial(), func(r *trial.Registration) { r.Design.Signature[0] ^= 1 })
		return l.entry(l.trial())
	}, []string{evidence.CheckTrial}},

	"and registers the trial after the question": {func(l *tale) string {
		c := l.trial()
		l.move(c, l.result())
		return l.entry(c)
	}, []string{evidence.CheckTrial}},

	"and swaps the trial's design": {func(l *tale) string {
		again := *l.trial()
		edit(l, &again, func(r *trial.Registration) {
			design := must(message.Replay[trial.Design](r.Design, trial.KindDesign))
			design.Title += " and more"
			r.Design = must(message.Seal(l.w.sponsor, trial.KindDesign, design, noon, time.Hour, rand.Reader))
			approval := trial.Approval{Trial: trialID, Design: r.Design.Digest(), Statement: "approved"}
			r.Approvals = []message.Envelope{must(message.Seal(l.w.board, trial.KindApproval, approval, noon, 24*time.Hour, rand.Reader))}
		})
		l.insert(&again, l.question())
		again.At = l.question().At
		return l.entry(&again)
	}, []string{evidence.CheckTrial}},

	"and holds back that an approval ran out": {func(l *tale) string {
		l.expireApproval()
		return string(trialID)
	}, []string{evidence.CheckApproval}},

	"and asks for a stranger": {func(l *tale) string {
		l.askAs(must(identity.Generate(rand.Reader)))
		return string(trialID)
	}, []string{evidence.CheckResearcher}},

	"and strips the question's signature": {func(l *tale) string {
		edit(l, l.question(), func(e *message.Envelope) { e.Signature = nil })
		return l.entry(l.question())
	}, []string{evidence.CheckQuestion}},

	"and attributes the question to another": {func(l *tale) string {
		l.question().Actor = l.w.sponsor.DID()
		return l.entry(l.question())
	}, []string{evidence.CheckQuestion}},

	"and dates the question when its signature had expired": {func(l *tale) string {
		for _, c := range l.chapters[l.index(l.question()):] {
			c.At = c.later(7200)
		}
		return l.entry(l.question())
	}, []string{evidence.CheckQuestion}},

	"and forgets the question": {func(l *tale) string {
		l.remove(l.question())
		return l.w.complete.String()
	}, []string{evidence.CheckQuestion}},

	"and gives two results": {func(l *tale) string {
		again := *l.result()
		l.insert(&again, l.result())
		return l.w.complete.String()
	}, []string{evidence.CheckResult}},

	"and alters the result afterwards": {func(l *tale) string {
		c := l.result()
		digest := c.Digest
		edit(l, c, func(r *query.Result) { r.Total.N++ })
		c.Digest = digest
		return digest.String()
	}, []string{evidence.CheckResult}},

	"and swaps two documents": {func(l *tale) string {
		a, b := l.access(0), l.access(1)
		a.document, b.document = b.document, a.document
		return a.Digest.String()
	}, []string{evidence.CheckAccessBy}},

	"and withholds a document": {func(l *tale) string {
		c := l.epoch(1)
		c.document = nil
		return c.Digest.String()
	}, []string{evidence.CheckEpoch, evidence.CheckAccessProof}},

	"and writes a document that says two things": {func(l *tale) string {
		c := l.result()
		c.document = []byte(strings.Replace(string(c.document), `"state":"complete"`, `"state":"partial","state":"complete"`, 1))
		c.Digest = message.Sum(c.document)
		return l.entry(c)
	}, []string{evidence.CheckResult}},

	"and adds a total that is not the cells' sum": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) { r.Total.N++ })
		return l.entry(l.result())
	}, []string{evidence.CheckCells}},

	"and leaves a node out": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) { r.Answered = r.Answered[:2]; r.State = query.Partial })
		return l.entry(l.result())
	}, []string{evidence.CheckNodes, evidence.CheckAccess}},

	"and calls a partial result complete": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) {
			r.Missing = []query.Missing{{Node: r.Answered[2].Node, Step: query.StepMask}}
			r.Answered = r.Answered[:2]
		})
		return l.entry(l.result())
	}, []string{evidence.CheckNodes, evidence.CheckAccess}},

	"and counts a node of no trial": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) {
			r.Refused = []query.Refused{{Node: l.w.sites[3].key.DID()}}
		})
		return l.entry(l.result())
	}, []string{evidence.CheckNodes}},

	"and loosens the limits": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) { r.Policy.MinSites = 1 })
		return l.entry(l.result())
	}, []string{evidence.CheckPolicy}},

	"and names one approver of two verdicts": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) {
			r.Answered[0].Leave.Verdicts = append(r.Answered[0].Leave.Verdicts, message.Sum([]byte("another")))
		})
		return l.entry(l.result())
	}, []string{evidence.CheckLeave}},

	"and demands a smaller proof": {func(l *tale) string {
		edit(l, l.result(), func(r *query.Result) { r.Answered[0].AtLeast = 0 })
		return l.entry(l.result())
	}, []string{evidence.CheckPolicy}},

	"and enrolled the node after the question": {func(l *tale) string {
		c := l.one(entry.NodeEnrolled, string(l.w.sites[1].key.DID()))
		l.move(c, l.result())
		return string(l.w.sites[1].key.DID())
	}, []string{evidence.CheckEnrolled}},

	"and counts a node that it revoked": {func(l *tale) string {
		node := l.w.sites[1].key.DID()
		c := *l.one(entry.NodeRevoked, string(l.w.sites[3].key.DID()))
		l.write(&c, entry.Revocation{Node: node, Reason: "test"})
		c.Subject, c.At = string(node), l.question().At
		l.insert(&c, l.question())
		return l.entry(&c)
	}, []string{evidence.CheckEnrolled}},

	"and drops an access proof": {func(l *tale) string {
		l.remove(l.access(1))
		return string(l.w.sites[1].key.DID())
	}, []string{evidence.CheckAccess}},

	"and records an access proof twice": {func(l *tale) string {
		again := *l.access(1)
		l.insert(&again, l.access(1))
		return string(l.w.sites[1].key.DID())
	}, []string{evidence.CheckAccess}},

	"and records an access proof before the result": {func(l *tale) string {
		c := l.access(1)
		l.move(c, l.result())
		return l.entry(c)
	}, []string{evidence.CheckAccess}},

	"and records the proof of a node that did not answer": {func(l *tale) string {
		c := *l.access(1)
		forge(l, &c, l.w.sites[3].key, func(a *query.Access) { a.Node = l.w.sites[3].key.DID() })
		l.insert(&c, l.access(2))
		return l.entry(&c)
	}, []string{evidence.CheckAccess}},

	"and registers circuits after the proofs": {func(l *tale) string {
		for _, c := range l.chapters {
			if c.Kind == entry.CircuitRegistered && c.Subject == shape.Epoch().String() {
				l.move(c, l.question())
				break
			}
		}
		return l.entry(l.epoch(0))
	}, []string{evidence.CheckEpochProof, evidence.CheckAccessProof}},
}

// What a reader with another trust document must not accept.
var trustLies = map[string]lie{
	"another contract": {func(l *tale) string {
		l.AccessLog = l.HubAnchor
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"another chain": {func(l *tale) string {
		l.ChainID++
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"no contract": {func(l *tale) string {
		l.AccessLog = ""
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"another circuit": {func(l *tale) string {
		l.Circuits = slices.Clone(l.Circuits)
		l.Circuits[1].Key[0] ^= 1
		return l.entry(l.access(0))
	}, []string{evidence.CheckAccessProof}},

	"another board": {func(l *tale) string {
		l.Boards = []identity.DID{l.w.sponsor.DID()}
		return string(trialID)
	}, []string{evidence.CheckApproval}},

	"another hub": {func(l *tale) string {
		l.Hub = l.w.sponsor.DID()
		return l.entry(l.result())
	}, []string{evidence.CheckDocuments, evidence.CheckResult}},

	"another key of the log": {func(l *tale) string {
		l.LogKey = verifierKey(l.w.sponsor)
		return "checkpoint"
	}, []string{evidence.CheckCheckpoint}},
}

// cancelLies are those of a hub that says a question was cancelled.
var cancelLies = map[string]func(l *tale, r *query.Result){
	"by nobody":  func(_ *tale, r *query.Result) { r.Cancelled = nil },
	"by a board": func(l *tale, r *query.Result) { e := l.w.cancellation(l.w.board); r.Cancelled = &e },
	"by itself":  func(l *tale, r *query.Result) { e := l.w.cancellation(l.w.hub); r.Cancelled = &e },
	"by forgery": func(l *tale, r *query.Result) { r.Cancelled.Issuer = l.w.researcher.DID() },
	"with cells": func(_ *tale, r *query.Result) { r.Cells = []query.Cell{{Levels: []string{}, N: 15}} },
	"and missing": func(l *tale, r *query.Result) {
		r.Missing = []query.Missing{{Node: l.w.sites[0].key.DID(), Step: query.StepAsk}}
	},
}

func TestLiesAboutACancellationAreFound(t *testing.T) {
	t.Parallel()
	for what, tell := range cancelLies {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			l.id = l.w.cancelled
			c := l.one(entry.QuestionAnswered, l.id.String())
			edit(l, c, func(r *query.Result) { tell(l, r) })
			report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.id)
			require.NoError(t, err)
			requireFails(t, report, []string{evidence.CheckCancelled}, l.entry(c))
		})
	}
}

// studyLies are those of a question that names a saved study.
var studyLies = map[string]func(l *tale, study, asked *chapter){
	"that is nowhere": func(l *tale, study, _ *chapter) { l.remove(study) },
	"that came later": func(l *tale, study, _ *chapter) { l.move(study, l.one(entry.QuestionAnswered, l.id.String())) },
	"twice": func(l *tale, study, _ *chapter) {
		again := *study
		l.insert(&again, study)
	},
	"of nobody of the trial": func(l *tale, c, _ *chapter) {
		forge(l, c, must(identity.Generate(rand.Reader)), func(*study.Study) {})
	},
	"that says something else": func(l *tale, c, _ *chapter) {
		forge(l, c, l.w.researcher, func(s *study.Study) { s.Title += " and more" })
	},
	"without a signature": func(l *tale, c, _ *chapter) {
		edit(l, c, func(e *message.Envelope) { e.Signature = nil })
	},
	"and asks something else": func(l *tale, _, c *chapter) {
		l.reask(c, func(r *query.Request) { r.Purpose = "marketing" })
	},
	"and another of its questions": func(l *tale, _, c *chapter) {
		l.reask(c, func(r *query.Request) { r.Study.Question = "count" })
	},
	"and another of its versions": func(l *tale, _, c *chapter) {
		l.reask(c, func(r *query.Request) { r.Study.Version = "2" })
	},
}

func TestLiesAboutAStudyAreFound(t *testing.T) {
	t.Parallel()
	for what, tell := range studyLies {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := truth(t, network(t))
			l.id = l.w.withheld
			tell(l, l.one(entry.StudyRegistered, saved().String()), l.one(entry.QuestionAsked, l.id.String()))
			report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.id)
			require.NoError(t, err)
			requireFails(t, report, []string{evidence.CheckStudy}, saved().Name)
		})
	}
}

// reask changes a question, which is signed as before, and lets its result be of it.
func (l *tale) reask(asked *chapter, change func(*query.Request)) {
	answered := l.one(entry.QuestionAnswered, asked.Subject)
	l.id = forge(l, asked, l.w.researcher, change)
	edit(l, answered, func(r *query.Result) { r.Query = l.id })
	asked.Subject, answered.Subject = l.id.String(), l.id.String()
}

func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	for who, lies := range map[string]map[string]lie{"node lies": nodeLies, "hub lies": hubLies, "trust in": trustLies} {
		for what, lie := range lies {
			t.Run(who+" "+what, func(t *testing.T) {
				t.Parallel()
				l := truth(t, network(t))
				where := lie.tell(l)
				report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.id)
				require.NoError(t, err)
				requireFails(t, report, lie.fails, where)
			})
		}
	}
}

// TestRenewedApproval: what counts is the trial as it was registered last
// before the question.
func TestRenewedApproval(t *testing.T) {
	t.Parallel()
	l := truth(t, network(t))
	renewed := *l.trial()
	l.expireApproval()
	l.insert(&renewed, l.question())
	renewed.At = l.question().At
	report, err := evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.id)
	require.NoError(t, err)
	require.Empty(t, report.Failed())

	l.move(&renewed, l.result())
	report, err = evidence.VerifyQuery(t.Context(), l.tell(), *l.Trust, "", l.id)
	require.NoError(t, err)
	requireFails(t, report, []string{evidence.CheckApproval}, string(trialID))
}

// expireApproval lets the trial's approval end before the question.
func (l *tale) expireApproval() {
	edit(l, l.trial(), func(r *trial.Registration) {
		approval := trial.Approval{Trial: trialID, Design: r.Design.Digest(), Statement: "approved"}
		r.Approvals = []message.Envelope{must(message.Seal(l.w.board, trial.KindApproval, approval, noon, time.Second, rand.Reader))}
	})
}

// requireFails wants exactly the named checks to fail, and one to say where.
func requireFails(t testing.TB, report evidence.Report, names []string, where string) {
	t.Helper()
	var failed []string
	named := false
	for _, c := range report.Failed() {
		if !slices.Contains(failed, c.Name) {
			failed = append(failed, c.Name)
		}
		named = named || strings.Contains(c.Subject+" "+c.Detail, where)
	}
	require.ElementsMatch(t, names, failed, "%v", report.Failed())
	require.True(t, named, "no failed check names %s: %v", where, report.Failed())
}

// askAs has the complete question asked by somebody else.
func (l *tale) askAs(key identity.Key) {
	asked, answered := l.question(), l.result()
	l.id = forge(l, asked, key, func(*query.Request) {})
	edit(l, answered, func(r *query.Result) { r.Query = l.id })
	asked.Subject, answered.Subject = l.id.String(), l.id.String()
}

// falseEpoch replaces a site's epoch by one that it signed but cannot prove.
func (l *tale) falseEpoch(site int, change func(*consent.Epoch)) string {
	c := l.epoch(site)
	digest := forge(l, c, l.w.sites[site].key, change)
	l.link(site, func(a *query.Answered) { a.Epoch = digest }, func(a *query.Access) { a.Epoch = digest })
	return l.entry(c)
}

// reuse makes a site's answer about the complete question rest on the records
// and the proof of another.
func (l *tale) reuse(site int, from *chapter) {
	e, err := message.Parse(from.document)
	require.NoError(l.t, err)
	old, err := message.Replay[query.Access](e, query.KindAccess)
	require.NoError(l.t, err)
	l.link(site, func(a *query.Answered) { a.Commitment = old.Used }, func(a *query.Access) { a.Proof, a.Used = old.Proof, old.Used })
}
