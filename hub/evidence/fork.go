package evidence

import (
	"context"
	"errors"
	"strings"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
)

// seen compares the log with the checkpoints that others were shown.
func (v *verification) seen(ctx context.Context) {
	anybody := v.trust.log()
	anybody.Policy.Quorum = ""
	for _, raw := range v.trust.Seen {
		earlier, err := anybody.Open(raw)
		if err != nil {
			v.report.fail(CheckSeen, v.trust.Origin, "the checkpoint that was seen: %v", err)
			continue
		}
		err = v.view.Extends(ctx, earlier.Checkpoint)
		var fork *ledger.ForkError
		switch {
		case err == nil:
			v.report.pass(CheckSeen, v.trust.Origin, "the log has all %d entries of the checkpoint that was seen", earlier.Size)
		case !errors.As(err, &fork):
			v.broken = err
		case earlier.Size > fork.Present.Size:
			v.report.fail(CheckSeen, v.trust.Origin, "%v: this is an old copy, or the log was rolled back", err)
		default:
			v.report.fail(CheckSeen, v.trust.Origin, "%v: two histories are signed by one key; publish the evidence", err)
			v.report.Fork, v.broken = v.evidence(ctx, earlier)
		}
	}
}

// evidence returns the file that shows the fork between the log and an earlier
// checkpoint.
func (v *verification) evidence(ctx context.Context, earlier cosign.Signed) ([]byte, error) {
	fork := cosign.Fork{Earlier: earlier.Note, Present: v.view.Checkpoint().Note}
	if earlier.Size < v.view.Checkpoint().Size {
		proof, err := v.view.ProveGrowth(ctx, earlier.Size)
		if err != nil {
			return nil, err
		}
		fork.Proof = &proof
	}
	return fork.Marshal(), nil
}

// VerifyFork checks the evidence of two histories of a log: the file that a node keeps,
// or a verification wrote. It needs no source.
func VerifyFork(raw []byte, trust Trust) (Report, error) {
	var report Report
	if err := trust.Validate(); err != nil {
		return report, err
	}
	fork, err := cosign.ParseFork(raw)
	if err != nil {
		return report, err
	}
	found, err := fork.Check(trust.log())
	report.Checkpoint = checkpointOf(found.Present)
	switch {
	case err != nil:
		report.fail(CheckFork, trust.Origin, "this is no evidence: %v", err)
	case !found.Proven:
		report.fail(CheckFork, trust.Origin, "the log signed %d and %d entries and owes the proof that they are one history: compare them with the log by verify ledger --seen",
			found.Earlier.Size, found.Present.Size)
	default:
		report.pass(CheckFork, trust.Origin, "two histories, of %d and %d entries, are signed by %s", found.Earlier.Size, found.Present.Size, strings.Join(found.Signers, ", "))
	}
	return report, nil
}
