package evidence

import (
	"context"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/cosign"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// VerifyLedger checks the whole log and every document it names: signature and
// tree, order, digests, signatures, anchors. With a chain, the http(s) URL of a
// JSON-RPC endpoint, it also compares the log with what the chain holds; empty
// skips that.
//
// The error says why something could not be looked at; what was looked at and
// is wrong stands in the report only.
func VerifyLedger(ctx context.Context, src Source, trust Trust, chain string) (Report, error) {
	v, err := begin(ctx, src, trust, chain)
	if err != nil {
		return Report{}, err
	}
	if v.open(ctx) {
		v.readCircuits(ctx)
		v.documents(ctx)
		v.anchors(ctx)
		v.once(ctx, nil)
		v.trees(ctx, nil)
		v.onChain(ctx, 0, nil)
	}
	return v.end(ctx)
}

func begin(ctx context.Context, src Source, trust Trust, chain string) (*verification, error) {
	at, err := pin(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return &verification{src: at, trust: trust, chain: chain}, nil
}

func (v *verification) end(ctx context.Context) (Report, error) {
	if err := errors.Join(v.broken, ctx.Err()); err != nil {
		return v.report, fmt.Errorf("evidence: %w", err)
	}
	return v.report, nil
}

// documents checks every document against its entry.
func (v *verification) documents(ctx context.Context) {
	_, partial := v.copyOf()
	var read, absent, wrong int
	for _, l := range v.leaves {
		if ctx.Err() != nil {
			return
		}
		err := v.consistent(ctx, l)
		switch {
		case err == nil:
			read++
		case errors.Is(err, ErrNoDocument) && partial:
			absent++
		default:
			if wrong++; wrong <= maxListed {
				v.report.fail(CheckDocuments, l.place(), "%v", err)
			}
		}
	}
	if wrong > maxListed {
		v.report.fail(CheckDocuments, v.trust.Origin, "%d more documents are missing or wrong", wrong-maxListed)
	}
	if wrong == 0 {
		v.report.pass(CheckDocuments, v.trust.Origin, "%d documents are those the log names, and say what their entries say", read)
		v.report.pass(CheckSignatures, v.trust.Origin, "trials, consent epochs, questions and access proofs are signed by whom the entries name")
	}
	if absent > 0 {
		v.report.skip(CheckDocuments, v.trust.Origin, fmt.Sprintf("%d documents are not in this copy, which was not made of the whole log", absent))
	}
}

// anchors compares the anchors that the hub recorded with the log itself.
func (v *verification) anchors(ctx context.Context) {
	var checked int
	for _, l := range v.leaves {
		if l.Kind != entry.ChainAnchored {
			continue
		}
		a, err := read[entry.Anchor](ctx, v, l)
		if errors.Is(err, ErrNoDocument) {
			continue // reported with the documents
		}
		if err == nil {
			err = v.extends(ctx, a.Size, a.Root)
		}
		if err != nil {
			v.report.fail(CheckAnchors, l.place(), "%v", err)
			return
		}
		checked++
	}
	v.report.pass(CheckAnchors, v.trust.Origin, "the log still begins with all %d checkpoints that were recorded as anchored", checked)
}

// extends checks that the log had a root at a size.
func (v *verification) extends(ctx context.Context, size int64, root []byte) error {
	earlier := cosign.Checkpoint{Origin: v.trust.Origin, Size: size}
	if copy(earlier.Root[:], root) != len(earlier.Root) || len(root) != len(earlier.Root) {
		return errors.New("the anchored root is not a hash")
	}
	return v.view.Extends(ctx, earlier)
}

// once checks over all leaves, or those that only allows, that no proof, no commitment to records
// and no digest of figures serves two answers. A proof that was made to look different is refused by its
// public inputs instead.
func (v *verification) once(ctx context.Context, only func(leaf) bool) {
	proofs, sound := make(map[message.Digest]leaf), true
	for _, l := range v.leaves {
		if only != nil && !only(l) {
			continue
		}
		var once [][]byte
		switch l.Kind {
		case entry.AccessProved:
			if a, err := open[query.Access](ctx, v, l, query.KindAccess); err == nil { // else it is reported with the documents
				once = [][]byte{a.body.Proof, a.body.Used[:]}
			}
		case entry.ResultProved:
			if p, err := open[query.Proved](ctx, v, l, query.KindProved); err == nil {
				once = [][]byte{p.body.Cover, p.body.Release, p.body.Released[:]}
			}
		}
		for _, used := range once {
			digest := message.Sum(used)
			if first, twice := proofs[digest]; twice {
				v.report.fail(CheckProofsOnce, l.place(), "its proof, or its commitment to the records used, serves entry %d already", first.index)
				sound = false
				break
			}
			proofs[digest] = l
		}
	}
	if sound {
		v.report.pass(CheckProofsOnce, v.trust.Origin, "no proof and no commitment to the records used serves twice")
	}
}
