package ceremony

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Finish verifies the phase that is open and ends it with a beacon: the first, after which
// parties contribute to each circuit, or the second, which makes the keys and puts them into
// [KeysFolder]. It fails while a part has fewer parties than the plan demands.
func (t *Transcript) Finish(ctx context.Context, key identity.Key, value []byte, source string, now time.Time, told func(string)) error {
	b := Beacon{Value: value, Source: source}
	if err := b.validate(); err != nil {
		return err
	}
	parts := t.OpenParts()
	var err error
	if b.Previous, err = t.last(parts); err != nil {
		return err
	}
	switch {
	case t.powers == nil:
		return t.finishPowers(ctx, key, b, now, told)
	case t.circuits == nil:
		t.circuits = &Signed[Beacon]{Statement: b} // to make keys with; it is signed when they are made
		err := t.finishCircuits(ctx, key, now, told)
		if t.circuits.Envelope.Issuer == "" {
			t.circuits = nil
		}
		return err
	case t.made == nil:
		return t.finishCircuits(ctx, key, now, told)
	}
	return ErrFinished
}

// finishPowers puts where the second phase begins into the folder before the beacon, which
// opens it.
func (t *Transcript) finishPowers(ctx context.Context, key identity.Key, b Beacon, now time.Time, told func(string)) error {
	powers, err := t.verifyPowers(ctx, told)
	if err != nil {
		return err
	}
	commons := powers.Seal(b.Value)
	for i, part := range t.names() {
		if err := ctx.Err(); err != nil {
			return err
		}
		mine := first(commons, domainOf(t.systems[i]))
		begins := new(mpcsetup.Phase2)
		begins.Initialize(t.systems[i], &mine)
		if err := writeFile(filepath.Join(t.dir, part, beginning), begins); err != nil {
			return err
		}
		told(part + ": contributions can begin")
	}
	t.powers, err = sign(t.dir, powersFile, key, KindBeacon, b, now)
	return err
}

// finishCircuits verifies everything, makes the keys, and says with which beacon. What was
// interrupted after the beacon goes on with it.
func (t *Transcript) finishCircuits(ctx context.Context, key identity.Key, now time.Time, told func(string)) error {
	keys, err := t.verify(ctx, told)
	if err != nil {
		return err
	}
	if t.circuits.Envelope.Issuer == "" {
		if t.circuits, err = sign(t.dir, circuitsFile, key, KindBeacon, t.circuits.Statement, now); err != nil {
			return err
		}
	}
	made := Made{Previous: t.circuits.Digest()}
	for _, k := range keys {
		if err := k.Keep(filepath.Join(t.dir, KeysFolder)); err != nil {
			return err
		}
		p := k.Published()
		made.Keys = append(made.Keys, MadeKey{p.Circuit, p.VerifyingKey, p.ProvingDigest})
		told(fmt.Sprintf("%s: the keys are made", p.Circuit))
	}
	t.made, err = sign(t.dir, madeFile, key, KindKeys, made, now)
	return err
}
