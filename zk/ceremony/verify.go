package ceremony

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// Verify checks every contribution, and of a finished ceremony makes the keys anew from the
// transcript and compares them. It returns them in the plan's order, nil before the ceremony
// is finished. told hears of what was checked. Its errors are [ErrTranscript] or those of reading.
//
// Of a circuit with 2^n constraints it takes about n ms of processor time for each of them,
// most of it where the second phase begins.
func (t *Transcript) Verify(ctx context.Context, told func(string)) ([]*prover.Keys, error) {
	keys, err := t.verify(ctx, told)
	if err != nil || t.made == nil {
		return nil, err
	}
	for i, k := range keys {
		said, made := t.made.Statement.Keys[i], k.Published()
		if said.Circuit != made.Circuit || !bytes.Equal(said.VerifyingKey, made.VerifyingKey) || said.ProvingDigest != made.ProvingDigest {
			return nil, fmt.Errorf("%w: the keys of %s are not those that it makes", ErrTranscript, made.Circuit)
		}
		told(fmt.Sprintf("%s: the keys are those that the transcript makes", made.Circuit))
	}
	return keys, nil
}

// verify checks every contribution, and makes the keys if the second phase has its beacon.
func (t *Transcript) verify(ctx context.Context, told func(string)) ([]*prover.Keys, error) {
	powers, err := t.verifyPowers(ctx, told)
	if err != nil || t.powers == nil {
		return nil, err
	}
	commons := powers.Seal(t.powers.Statement.Value)
	told("powers: they end with the beacon: " + t.powers.Statement.Source)
	var keys []*prover.Keys
	for i := range t.systems {
		made, err := t.verifyCircuit(ctx, i, commons, told)
		if err != nil {
			return nil, err
		}
		keys = append(keys, made)
	}
	return keys, nil
}

// verifyPowers returns the powers after the last contribution.
func (t *Transcript) verifyPowers(ctx context.Context, told func(string)) (*mpcsetup.Phase1, error) {
	last := mpcsetup.NewPhase1(uint64(t.domain()))
	for i, c := range t.parts[Powers] {
		next, err := t.contribution(ctx, Powers, i+1)
		if err != nil {
			return nil, err
		}
		if err := last.Verify(next.(*mpcsetup.Phase1)); err != nil {
			return nil, refuted(c, err)
		}
		last = next.(*mpcsetup.Phase1)
		told(confirmed(c))
	}
	return last, nil
}

// verifyCircuit returns the keys of the i-th circuit if the second phase is over.
func (t *Transcript) verifyCircuit(ctx context.Context, i int, powers mpcsetup.SrsCommons, told func(string)) (*prover.Keys, error) {
	subject, system := t.plan.Statement.Circuits[i], t.systems[i]
	part := subject.Circuit.String()
	commons := first(powers, domainOf(system))
	last := new(mpcsetup.Phase2)
	evaluations := last.Initialize(system, &commons)
	var begins bytes.Buffer
	if _, err := last.WriteTo(&begins); err != nil {
		return nil, err
	}
	if kept, err := readFile(filepath.Join(t.dir, part, beginning), t.lengths(part).size(false)); err != nil || message.Sum(kept) != message.Sum(begins.Bytes()) {
		return nil, errors.Join(fmt.Errorf("%w: where the second phase of %s begins does not follow from the powers", ErrTranscript, part), err)
	}
	told(part + ": the second phase begins as the powers say")
	last, err := t.verifyContributions(ctx, part, last, told)
	if err != nil || t.circuits == nil {
		return nil, err
	}
	pk, vk := last.Seal(&commons, &evaluations, t.circuits.Statement.Value)
	told(part + ": the second phase ends with the beacon: " + t.circuits.Statement.Source)
	return prover.FromCeremony(subject.Circuit, pk.(*groth16.ProvingKey), vk.(*groth16.VerifyingKey), t.plan.Digest())
}

// verifyContributions returns a circuit's parameters after the last contribution.
func (t *Transcript) verifyContributions(ctx context.Context, part string, last *mpcsetup.Phase2, told func(string)) (*mpcsetup.Phase2, error) {
	for i, c := range t.parts[part] {
		next, err := t.contribution(ctx, part, i+1)
		if err != nil {
			return nil, err
		}
		if err := last.Verify(next.(*mpcsetup.Phase2)); err != nil {
			return nil, refuted(c, err)
		}
		last = next.(*mpcsetup.Phase2)
		told(confirmed(c))
	}
	return last, nil
}

// beginning is the file with the parameters that a second phase begins with.
const beginning = "000.bin"

// contribution reads the parameters that a contribution left.
func (t *Transcript) contribution(ctx context.Context, part string, number int) (contributable, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.parameters(part, number)
}

func refuted(c Signed[Contribution], err error) error {
	return fmt.Errorf("%w: contribution %d to %s by %s: %w", ErrTranscript, c.Statement.Number, c.Statement.Part, c.By(), err)
}

func confirmed(c Signed[Contribution]) string {
	return fmt.Sprintf("%s: contribution %d by %s (%s) is one", c.Statement.Part, c.Statement.Number, c.By(), c.Statement.Name)
}
