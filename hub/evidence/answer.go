package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// statement is an access proof that verified, with what it is about.
type statement struct {
	circuit entry.Circuit
	access  query.Access
	epoch   signed[consent.Epoch]
}

// answer checks one node's part in an answer. It returns the access proof if
// everything about it is right.
func (v *verification) answer(ctx context.Context, q *question, a query.Answered, proofs map[identity.DID][]leaf) *statement {
	name := v.enrolled(ctx, q, a.Node)
	v.leave(q, a)
	e, sizes, sound := v.epoch(ctx, q, a)
	v.figures(ctx, q, a, name, e, sizes, sound)
	return v.access(ctx, q, a, proofs[a.Node], e, sizes, sound)
}

// leave checks what the result says of who let the question pass at a node, if it
// does. The policy and the verdicts themselves are the site's to show.
func (v *verification) leave(q *question, a query.Answered) {
	if a.Leave == nil {
		return
	}
	if err := a.Leave.Validate(); err != nil {
		v.report.fail(CheckLeave, string(a.Node), "%s: %v", q.resultLeaf.place(), err)
		return
	}
	by := "nobody's verdict was asked for"
	for i, verdict := range a.Leave.Verdicts {
		if i == 0 {
			by = "by verdict "
		} else {
			by += " and "
		}
		by += verdict.String()
		if len(a.Leave.Approvers) > 0 {
			by += " of " + string(a.Leave.Approvers[i])
		}
	}
	v.report.pass(CheckLeave, string(a.Node), "entry %d commits to what the node was allowed by: policy %s, %s; compare both with what the site shows", q.resultLeaf.index, a.Leave.Policy, by)
}

// enrolled checks that the node was one of the network when it was asked, and returns its name.
func (v *verification) enrolled(ctx context.Context, q *question, node identity.DID) string {
	subject := string(node)
	admitted := v.find(entry.NodeEnrolled, subject)
	if len(admitted) == 0 || admitted[0].index >= q.index || admitted[0].Actor != v.trust.Hub {
		v.report.fail(CheckEnrolled, subject, "the log records no enrollment of the node before the question")
		return ""
	}
	d, err := read[entry.Enrollment](ctx, v, admitted[0])
	if err == nil && d.Node != node {
		err = errSubject
	}
	if err != nil {
		v.report.fail(CheckEnrolled, subject, "%s: %v", admitted[0].place(), err)
		return ""
	}
	for _, revoked := range v.find(entry.NodeRevoked, subject) {
		if revoked.index < q.index {
			v.report.fail(CheckEnrolled, subject, "entry %d revoked the node before the question", revoked.index)
			return d.Name
		}
	}
	v.report.pass(CheckEnrolled, subject, "entry %d enrolled the node, %q of %q, and nothing revoked it before the question",
		admitted[0].index, d.Name, d.Organization)
	return d.Name
}

// epoch finds the consent epoch that a node answered under and checks it. It
// returns nil if it cannot be read, and whether its proofs hold.
func (v *verification) epoch(ctx context.Context, q *question, a query.Answered) (e *signed[consent.Epoch], circuit circuits.Circuit, sound bool) {
	subject := string(a.Node)
	var epochs []leaf
	for _, l := range v.find(entry.ConsentEpoch, string(q.design.ID)) {
		if l.Actor == a.Node {
			epochs = append(epochs, l)
		}
	}
	e, at, err := v.pick(ctx, epochs, q.index, a.Epoch)
	switch {
	case err != nil:
		v.report.fail(CheckEpoch, subject, "%v", err)
		return nil, circuit, false
	case e == nil:
		v.report.fail(CheckEpoch, subject, "the log records no consent epoch %s of the node for trial %s", a.Epoch, q.design.ID)
		return nil, circuit, false
	case e.body.Node != a.Node || e.body.Trial != q.design.ID:
		err = errSubject
	case e.index >= q.index:
		err = fmt.Errorf("the consent epoch came after the question, which is entry %d: the node chose it knowing the question", q.index)
	}
	if err != nil {
		v.report.fail(CheckEpoch, subject, "%s: %v", e.place(), err)
		return e, circuit, false
	}
	v.report.pass(CheckEpoch, subject, "entry %d holds epoch %d of the node's consents, signed by the node, before the question", e.index, e.body.Number)
	v.newest(q, epochs[at:])
	v.follows(ctx, epochs[:at], e)
	v.tied(ctx, e)
	v.report.judge(CheckWindow, subject, e.body.Covers(q.At), "the epoch's bitmaps hold for the time of the question",
		fmt.Sprintf("%s: the epoch's window does not cover the question of %s", e.place(), stamp(q.At)))
	circuit, sound = v.epochProofs(*e)
	return e, circuit, sound
}

// pick returns the epoch with a digest, nil if there is none, and its place
// among a node's epochs. It looks at those before the question first, newest
// first, so that a copy needs no others.
func (v *verification) pick(ctx context.Context, epochs []leaf, question int64, digest message.Digest) (*signed[consent.Epoch], int, error) {
	var before, after []int
	for i, l := range epochs {
		if l.index < question {
			before = append(before, i)
		} else {
			after = append(after, i)
		}
	}
	slices.Reverse(before)
	var absent error
	for _, i := range append(before, after...) {
		found, err := open[consent.Epoch](ctx, v, epochs[i], consent.KindEpoch)
		switch {
		case errors.Is(err, ErrNoDocument):
			absent = fmt.Errorf("%s: %w", epochs[i].place(), err)
		case err != nil:
			return nil, 0, fmt.Errorf("%s: %w", epochs[i].place(), err)
		case found.envelope.Digest() == digest:
			return &found, i, nil
		}
	}
	return nil, 0, absent
}

// newest checks that the first of a node's epochs was its latest when it was
// asked. A node that had only just published another may not know it yet.
func (v *verification) newest(q *question, epochs []leaf) {
	subject := string(epochs[0].Actor)
	for _, later := range epochs[1:] {
		if later.index < q.index && later.At.Add(message.Skew).Before(q.At) {
			v.report.fail(CheckEpochNewest, subject, "%s: the node had published newer consents, entry %d, when it was asked: someone may have withdrawn in between",
				epochs[0].place(), later.index)
			return
		}
	}
	v.report.pass(CheckEpochNewest, subject, "the node had published no newer consents when it was asked")
}

// follows checks that an epoch names the one before it.
func (v *verification) follows(ctx context.Context, before []leaf, e *signed[consent.Epoch]) {
	subject := string(e.body.Node)
	var last message.Digest
	var number uint64
	if len(before) > 0 {
		l := before[len(before)-1]
		previous, err := open[consent.Epoch](ctx, v, l, consent.KindEpoch)
		if err != nil {
			v.report.fail(CheckEpochChain, subject, "%s: %v", l.place(), err)
			return
		}
		last, number = previous.envelope.Digest(), previous.body.Number
	}
	v.report.judge(CheckEpochChain, subject, e.body.Revises == last && e.body.Number == number+1,
		"the epoch names the one before it, so none is left out", e.place()+": the epoch does not follow the one before it in the log")
}

// epochProofs verifies the proofs of an epoch's shards.
func (v *verification) epochProofs(e signed[consent.Epoch]) (circuits.Circuit, bool) {
	subject := string(e.body.Node)
	circuit, origin, err := v.checkEpoch(e)
	if err != nil {
		v.report.fail(CheckEpochProof, subject, "%s: %v", e.place(), err)
		return circuit, false
	}
	v.report.pass(CheckEpochProof, subject, "the proofs of all %d shards verify for circuit %s: the bitmaps follow from the consents under the published roots; %s",
		len(e.body.Shards), circuit, origin)
	return circuit, true
}

// checkEpoch verifies the proofs of an epoch's shards, and returns their circuit and where its
// key comes from. A shard that did not change since an earlier epoch keeps its proof, which is
// verified once.
func (v *verification) checkEpoch(e signed[consent.Epoch]) (circuit circuits.Circuit, origin string, err error) {
	c, origin, err := v.circuit(e.body.Circuit, e.index)
	if err != nil {
		return circuit, "", err
	}
	if circuit, err = circuits.ParseCircuit(c.Shape); err != nil {
		return circuit, "", err
	}
	if len(e.body.Shards) == 0 || len(e.body.Shards) > consent.MaxShards {
		return circuit, "", fmt.Errorf("it has %d shards", len(e.body.Shards))
	}
	if v.shards == nil {
		v.shards = make(map[message.Digest]bool)
	}
	for i, s := range e.body.Shards {
		raw, err := canonical.Marshal(s)
		if err != nil {
			return circuit, "", err
		}
		digest := message.Sum(append(e.body.Circuit[:], raw...))
		if v.shards[digest] {
			continue
		}
		if err := v.proofs.CheckShard(c, s); err != nil {
			return circuit, "", fmt.Errorf("shard %d: %w", i, err)
		}
		v.shards[digest] = true
	}
	return circuit, origin, nil
}

// accesses returns the access proofs about a question by the node that the
// entry names, and reports those of nodes that did not answer.
func (v *verification) accesses(q *question) map[identity.DID][]leaf {
	byNode := make(map[identity.DID][]leaf)
	for _, l := range v.find(entry.AccessProved, q.id.String()) {
		byNode[l.Actor] = append(byNode[l.Actor], l)
		if !slices.ContainsFunc(q.result.Answered, func(a query.Answered) bool { return a.Node == l.Actor }) {
			v.report.fail(CheckAccess, string(l.Actor), "%s: the node is not among those that answered", l.place())
		}
	}
	return byNode
}

// access checks a node's access proof against its answer and its epoch.
func (v *verification) access(ctx context.Context, q *question, a query.Answered, leaves []leaf, e *signed[consent.Epoch], sizes circuits.Circuit, sound bool) *statement {
	subject := string(a.Node)
	if len(leaves) != 1 {
		v.report.fail(CheckAccess, subject, "the log records %d access proofs of the node about the question, not one; a proof may still be on its way", len(leaves))
		return nil
	}
	l := leaves[0]
	if !v.report.judge(CheckAccess, subject, l.index > q.resultLeaf.index, fmt.Sprintf("entry %d holds the node's access proof", l.index),
		l.place()+": it is older than the result") {
		return nil
	}
	s, err := open[query.Access](ctx, v, l, query.KindAccess)
	if err == nil {
		err = own(nil, s.envelope.Issuer, s.body.Node)
	}
	if err != nil {
		v.report.fail(CheckAccessBy, subject, "%s: %v", l.place(), err)
		return nil
	}
	v.report.pass(CheckAccessBy, subject, "the statement is signed by the node itself")
	if !v.accessFits(q, a, s) {
		return nil
	}
	if e == nil || !sound {
		v.report.fail(CheckAccessProof, subject, "%s: the consents that it builds on are not proven", l.place())
		return nil
	}
	c, origin, err := v.circuit(s.body.Circuit, l.index)
	if err == nil {
		err = v.accessProof(c, s.body, e.body, sizes)
	}
	if err != nil {
		v.report.fail(CheckAccessProof, subject, "%s: %v", l.place(), err)
		return nil
	}
	v.report.pass(CheckAccessProof, subject, "the zero-knowledge proof verifies for circuit %s: every record used had a consent in force, and there were at least %d; %s",
		c.Shape, s.body.AtLeast, origin)
	return &statement{c, s.body, *e}
}

// accessFits compares what an access proof states with the answer.
func (v *verification) accessFits(q *question, a query.Answered, s signed[query.Access]) bool {
	subject, access := string(a.Node), s.body
	scopes, err := q.body.Scopes()
	if err != nil {
		v.report.fail(CheckScopes, subject, "%v", err)
		return false
	}
	others := slices.ContainsFunc(q.result.Answered, func(o query.Answered) bool { return o.Node != a.Node && o.Commitment == a.Commitment })
	fits := true
	for _, c := range []struct {
		name         string
		good         bool
		right, wrong string
	}{
		{CheckAccessAbout, access.Query == q.id, "the statement is about this question", "the statement is about another question"},
		{CheckAccessEpoch, access.Epoch == a.Epoch, "the statement is about the consents that the answer was drawn under", "the statement is about another consent epoch than the answer"},
		{
			CheckCommitment, access.Used == a.Commitment && !others, "the records used are those that the node committed to with its numbers",
			"the statement is not about the records that the node committed to with its numbers, or another node committed to the same",
		},
		{
			CheckScopes, access.Scopes == scopes, fmt.Sprintf("the statement is about the scopes that the question needs: %v", scopes.Scopes()),
			fmt.Sprintf("the statement is about the scopes %v, and the question needs %v", access.Scopes.Scopes(), scopes.Scopes()),
		},
		{
			CheckCount, access.AtLeast >= a.AtLeast, fmt.Sprintf("at least %d records are stated, and the limit is %d", access.AtLeast, a.AtLeast),
			fmt.Sprintf("at least %d records are stated, and the limit is %d", access.AtLeast, a.AtLeast),
		},
	} {
		if !c.good {
			c.wrong = s.place() + ": " + c.wrong
		}
		fits = v.report.judge(c.name, subject, c.good, c.right, c.wrong) && fits
	}
	return fits
}

// accessProof verifies the proof for this node, question, chain and contract.
func (v *verification) accessProof(c entry.Circuit, a query.Access, e consent.Epoch, sizes circuits.Circuit) error {
	if v.trust.AccessLog == "" {
		return errors.New("the trust document names no AccessLog contract, and a proof is good for one contract only")
	}
	circuit, err := circuits.ParseCircuit(c.Shape)
	if err != nil {
		return err
	}
	if circuit.Shape().ShardSize != sizes.Shape().ShardSize {
		return fmt.Errorf("circuits %s and %s differ in shard size", circuit, sizes)
	}
	hash, err := v.trust.venue().Hash(a.Node, a.Query)
	if err != nil {
		return err
	}
	return v.proofs.CheckAccess(c, a, e, hash)
}
