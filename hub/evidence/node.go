package evidence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// VerifyNode checks everything that the log has about a node: its enrollment, what it
// published of consents, its part in every answer, and its proofs. chain and the error are as
// in [VerifyLedger].
func VerifyNode(ctx context.Context, src Source, trust Trust, chain string, node identity.DID) (Report, error) {
	if _, err := node.PublicKey(); err != nil {
		return Report{}, fmt.Errorf("evidence: %w", err)
	}
	v, err := begin(ctx, src, trust, chain)
	if err != nil {
		return Report{}, err
	}
	v.fits(Scope{Node: node})
	if v.open(ctx) {
		v.readCircuits(ctx)
		v.wholeNode(ctx, node)
	}
	return v.end(ctx)
}

func (v *verification) wholeNode(ctx context.Context, node identity.DID) {
	if !v.acts(ctx, node) {
		return
	}
	v.ongoing = true
	trials := make(map[string]bool)
	for _, l := range v.leaves {
		if l.Actor == node && (l.Kind == entry.ConsentEpoch || l.Kind == entry.ConsentChanged) {
			trials[l.Subject] = true
		}
	}
	v.trees(ctx, func(l leaf) bool { return l.Actor == node })
	for _, id := range sortedKeys(trials) {
		v.epochs(ctx, trial.ID(id), node)
	}
	v.part(ctx, node)
	v.once(ctx, func(l leaf) bool { return l.Actor == node })
	v.onChain(ctx, v.last, v.proven)
}

// errStranger reports a node that the hub never enrolled.
var errStranger = errors.New("the log records no enrollment of the node")

// enrollment returns what the hub recorded when it enrolled a node.
func (v *verification) enrollment(ctx context.Context, node identity.DID) (leaf, entry.Enrollment, error) {
	admitted := v.find(entry.NodeEnrolled, string(node))
	if len(admitted) == 0 {
		return leaf{}, entry.Enrollment{}, errStranger
	}
	d, err := read[entry.Enrollment](ctx, v, admitted[0])
	switch {
	case err != nil:
	case d.Node != node:
		err = errSubject
	case admitted[0].Actor != v.trust.Hub:
		err = errNotHub
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", admitted[0].place(), err)
	}
	return admitted[0], d, err
}

// proves reports whether an entry is a node's proof about an answer.
func proves(l leaf) bool { return l.Kind == entry.AccessProved || l.Kind == entry.ResultProved }

// acts checks that a node's entries are of the time in which it was enrolled. Its key is its
// name, so that whoever signs as the node has had the same key all the time.
func (v *verification) acts(ctx context.Context, node identity.DID) bool {
	subject := string(node)
	enrolled, d, err := v.enrollment(ctx, node)
	if err != nil {
		v.report.fail(CheckEnrolled, subject, "%v", err)
		return false
	}
	v.report.pass(CheckEnrolled, subject, "entry %d enrolled the node, %q of %q, with the key that its name is", enrolled.index, d.Name, d.Organization)
	end, now := int64(len(v.leaves)), ""
	if revoked := v.find(entry.NodeRevoked, subject); len(revoked) > 0 {
		r, err := read[entry.Revocation](ctx, v, revoked[0])
		if err = about(revoked[0], string(r.Node), err); err == nil && revoked[0].Actor != v.trust.Hub {
			err = errNotHub
		}
		if err != nil {
			v.report.fail(CheckActs, subject, "%s: %v", revoked[0].place(), err)
			return false
		}
		end, now = revoked[0].index, fmt.Sprintf(", which entry %d ended: %s", revoked[0].index, r.Reason)
	}
	count := 0
	for _, l := range v.leaves {
		if l.Actor != node {
			continue
		}
		count++
		// A proof may come after the end, of an answer from before.
		if l.index < enrolled.index || l.index > end && !proves(l) {
			v.report.fail(CheckActs, subject, "%s: the node was not enrolled when it was recorded", l.place())
			return false
		}
	}
	v.report.pass(CheckActs, subject, "the %d entries of the node are of the time in which it was enrolled%s", count, now)
	return true
}

// part checks the node's part in every answer, and that it proved nothing else.
func (v *verification) part(ctx context.Context, node identity.DID) {
	answered, others, silent := make(map[string]bool), make(map[string]int), 0
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return
		}
		if l.Kind != entry.QuestionAnswered {
			continue
		}
		r, err := read[query.Result](ctx, v, l)
		if err != nil {
			v.report.fail(CheckDocuments, l.place(), "%v", err)
			continue
		}
		for _, refused := range r.Refused {
			if refused.Node == node {
				others[refused.Problem.Rule]++
			}
		}
		if slices.ContainsFunc(r.Missing, func(m query.Missing) bool { return m.Node == node }) {
			silent++
		}
		if !slices.ContainsFunc(r.Answered, func(a query.Answered) bool { return a.Node == node }) {
			continue
		}
		answered[l.Subject] = true
		if _, known := v.questions[r.Query]; !known {
			v.question(ctx, r.Query, node, true)
		}
	}
	for _, l := range v.leaves {
		if !proves(l) || l.Actor != node || answered[l.Subject] {
			continue
		}
		check := CheckAccess
		if l.Kind == entry.ResultProved {
			check = CheckFigures
		}
		v.report.fail(check, string(node), "%s: the node is not among those that answered", l.place())
	}
	refusals, rules := 0, ""
	for _, rule := range sortedKeys(others) {
		refusals += others[rule]
		rules += fmt.Sprintf(", %d by the rule %s", others[rule], rule)
	}
	v.report.pass(CheckAnswers, string(node), "the log names the node in %d answers; it refused %d questions%s, and gave no answer to %d",
		len(answered), refusals, strings.Replace(rules, ",", ":", 1), silent)
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
