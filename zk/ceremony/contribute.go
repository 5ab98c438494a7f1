package ceremony

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/consensys/gnark/backend/groth16/bn254/mpcsetup"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Errors of who comes too late or twice.
var (
	ErrFinished    = errors.New("the ceremony is finished")
	ErrContributed = errors.New("this key has contributed to all parts that are open; the next party's turn has come")
)

// Contribute mixes secrets of its own into every part that is open and to which the key has
// not contributed, and forgets them. told hears of each part when it is done. What ctx ends or
// a crash interrupts goes on with the next call, part by part.
//
// It does not verify what others did: a contribution is as good whatever came before, and
// [Transcript.Verify] is anybody's, before or after.
func (t *Transcript) Contribute(ctx context.Context, key identity.Key, name string, now func() time.Time, told func(Contribution)) error {
	if len(name) > maxName {
		return fmt.Errorf("a party's name has %d characters at most", maxName)
	}
	parts := t.OpenParts()
	if len(parts) == 0 {
		return ErrFinished
	}
	done := true
	for _, part := range parts {
		if slices.ContainsFunc(t.parts[part], func(c Signed[Contribution]) bool { return c.By() == key.DID() }) {
			continue
		}
		done = false
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := t.contribute(part, key, name, now())
		if err != nil {
			return fmt.Errorf("contribute to %s: %w", part, err)
		}
		told(c.Statement)
	}
	if done {
		return ErrContributed
	}
	return nil
}

func (t *Transcript) contribute(part string, key identity.Key, name string, now time.Time) (Signed[Contribution], error) {
	parameters, err := t.parameters(part, len(t.parts[part]))
	if err != nil {
		return Signed[Contribution]{}, err
	}
	parameters.Contribute()
	return t.keep(part, parameters, key, name, now)
}

// keep puts the next contribution to a part into the folder.
func (t *Transcript) keep(part string, parameters io.WriterTo, key identity.Key, name string, now time.Time) (Signed[Contribution], error) {
	var raw bytes.Buffer
	if _, err := parameters.WriteTo(&raw); err != nil {
		return Signed[Contribution]{}, err
	}
	c := Contribution{Part: part, Number: len(t.parts[part]) + 1, Previous: t.before(part), Parameters: message.Sum(raw.Bytes()), Name: name}
	if err := writeFile(filepath.Join(t.dir, part, fmt.Sprintf("%03d.bin", c.Number)), &raw); err != nil {
		return Signed[Contribution]{}, err
	}
	signed, err := sign(t.dir, filepath.Join(part, fmt.Sprintf("%03d.json", c.Number)), key, KindContribution, c, now)
	if err != nil {
		return Signed[Contribution]{}, err
	}
	t.parts[part] = append(t.parts[part], *signed)
	return *signed, nil
}

// before returns the digest of the statement that a part's next contribution follows.
func (t *Transcript) before(part string) message.Digest {
	switch all := t.parts[part]; {
	case len(all) > 0:
		return all[len(all)-1].Digest()
	case part == Powers:
		return t.plan.Digest()
	}
	return t.powers.Digest()
}

// contributable are the parameters of either phase.
type contributable interface {
	io.WriterTo
	Contribute()
}

// parameters reads those of a part after so many contributions. It compares them with what
// was signed, or of those before the first with nothing: whoever verifies computes them.
func (t *Transcript) parameters(part string, number int) (contributable, error) {
	if part == Powers && number == 0 {
		return mpcsetup.NewPhase1(uint64(t.domain())), nil
	}
	limit := powersSize(t.domain())
	if part != Powers {
		limit = t.lengths(part).size(number > 0)
	}
	raw, err := readFile(filepath.Join(t.dir, part, fmt.Sprintf("%03d.bin", number)), limit)
	if err != nil {
		return nil, err
	}
	if number > 0 && message.Sum(raw) != t.parts[part][number-1].Statement.Parameters {
		return nil, fmt.Errorf("%w: the parameters of contribution %d to %s are not those that were signed", ErrTranscript, number, part)
	}
	if part == Powers {
		return readPowers(raw, t.domain())
	}
	return t.lengths(part).read(raw, number > 0)
}

// domain is the number of powers: what the largest circuit needs.
func (t *Transcript) domain() int {
	n := 1
	for _, system := range t.systems {
		n = max(n, domainOf(system))
	}
	return n
}

// lengths are those of a circuit's parameters.
func (t *Transcript) lengths(circuit string) lengths {
	return lengthsOf(t.systems[slices.Index(t.names(), circuit)])
}
