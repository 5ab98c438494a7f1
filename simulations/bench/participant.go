package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const verifyProofText = `how fast a reader checks proofs. verify-proof: enrollments, with their 256 bytes and
five public inputs, that one core verifies in a second of processor time, at least 500.`

const proveEnrollText = `what a participant's enrollment takes to prove at the size of production, 2^24 consents.
prove-enroll: seconds a proof by the clock, verification included, at most 0.4 on two
cores (median). prove-enroll-cpu: the same in processor time. prove-enroll-constraints:
the circuit's size (reference: Semaphore v4 for 2^20 members).`

const (
	enrollShard = 1024
	enrollDepth = 12
	enrollBar   = 0.4 // s
	verifyBar   = 500 // a second and core

	// semaphore is the number of constraints of Semaphore v4 at depth 20, as its documentation gives it.
	semaphore = 6431
)

// people are persons of one site who can enroll.
type people struct {
	keys       *prover.Keys
	prover     *prover.Participant
	shard, all *circuits.Tree
	now        time.Time
}

// newPeople gives count persons a consent for the day around now.
func newPeople(ctx context.Context, count int, now time.Time) (p people, err error) {
	cache, err := prover.CacheDir()
	if err != nil {
		return p, err
	}
	p.now = now
	if p.keys, err = prover.DevelopmentKeys(ctx, cache, circuits.Enrollment(enrollDepth)); err != nil {
		return p, err
	}
	if p.prover, err = prover.NewParticipant(prover.ParticipantConfig{Enrollment: p.keys}); err != nil {
		return p, err
	}
	leaves := make([]circuits.Element, count)
	for i := range leaves {
		w := p.person(i)
		commitment, err := w.Secret.Commit(w.Blind)
		if err != nil {
			return p, err
		}
		if leaves[i], err = (circuits.Consent{Participant: commitment, Attributes: w.Attributes}).Leaf(); err != nil {
			return p, err
		}
	}
	if p.shard, err = circuits.ShardTree(enrollShard, leaves); err != nil {
		return p, err
	}
	p.all, err = circuits.ConsentTree(enrollShard, enrollDepth, []circuits.Element{p.shard.Root()})
	return p, err
}

// person is what the i-th knows, without a trial.
func (p people) person(i int) circuits.EnrollmentWitness {
	digest := func(label string) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%s of person %d", label, i)) }
	first, second := digest("first half"), digest("second half")
	now := uint32(p.now.Unix())
	return circuits.EnrollmentWitness{
		Secret: circuits.PersonSecret([64]byte(append(first[:], second[:]...))), Blind: circuits.Truncate(digest("blind")),
		Attributes: circuits.Attributes{Mask: consent.MaskOf(consent.Statistics), Status: circuits.Active, From: now - 86400, To: now + 86400},
		Signal:     circuits.Truncate(digest("content")), Time: now,
	}
}

// enroll proves that the i-th person enrolls in a trial.
func (p people) enroll(ctx context.Context, i int, trial string) (circuits.EnrollmentProof, error) {
	w := p.person(i)
	w.Trial = circuits.Truncate(sha256.Sum256([]byte(trial)))
	within, err := p.shard.Path(i)
	if err != nil {
		return circuits.EnrollmentProof{}, err
	}
	above, err := p.all.Path(0)
	if err != nil {
		return circuits.EnrollmentProof{}, err
	}
	w.Path = within.Then(above)
	return p.prover.Enrollment(ctx, w)
}

var errNullifier = errors.New("two enrollments of one person in one trial have two nullifiers")

func proveEnroll(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	cfg.Progress("keys are read, or made")
	p, err := newPeople(ctx, 1, time.Now())
	if err != nil {
		return nil, err
	}
	first, err := p.enroll(ctx, 0, "a trial") // warms up
	if err != nil {
		return nil, err
	}
	cfg.Progress("proofs are made")
	var clock, processors []float64
	for begun := time.Now(); len(clock) == 0 || time.Since(begun) < cfg.For; {
		started, used := time.Now(), processor()
		proof, err := p.enroll(ctx, 0, "a trial")
		if err != nil {
			return nil, err
		}
		clock = append(clock, time.Since(started).Seconds())
		processors = append(processors, (processor() - used).Seconds())
		if proof.Public.Nullifier != first.Public.Nullifier {
			return nil, errNullifier
		}
	}
	constraints := float64(p.keys.Constraints())
	return []bench.Figure{
		bench.NewFigure("prove-enroll", bench.Median(clock), "s").AtMost(cfg.BarOr(enrollBar)),
		bench.NewFigure("prove-enroll-cpu", bench.Median(processors), "s"),
		bench.NewFigure("prove-enroll-constraints", constraints, "constraints").Beside("Semaphore v4", semaphore),
	}, nil
}

func verifyProof(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	cfg.Progress("keys are read, or made")
	p, err := newPeople(ctx, 1, time.Now())
	if err != nil {
		return nil, err
	}
	made, err := p.enroll(ctx, 0, "a trial")
	if err != nil {
		return nil, err
	}
	cfg.Progress("proofs are verified")
	key, count, used := p.keys.Verifying(), 0, processor()
	for begun := time.Now(); count == 0 || time.Since(begun) < cfg.For; count++ {
		if err := key.VerifyEnrollment(made.Public, made.Proof); err != nil {
			return nil, err
		}
	}
	return []bench.Figure{
		bench.NewFigure("verify-proof", float64(count)/(processor()-used).Seconds(), "/s and core").AtLeast(cfg.BarOr(verifyBar)),
	}, nil
}
