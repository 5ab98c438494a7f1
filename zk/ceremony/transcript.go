package ceremony

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	cs "github.com/consensys/gnark/constraint/bn254"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// A transcript's folder has
//
//	plan.json                  what it is for
//	powers/001.bin, 001.json   parameters after a contribution, and who says so
//	powers.json                the beacon of the first phase
//	CIRCUIT/000.bin            where the second phase begins: follows from the powers
//	CIRCUIT/001.bin, 001.json  as of the powers
//	circuits.json              the beacon of the second phase
//	keys.json                  what came of it
//	keys/                      the keys, as provers keep them
//
// Parameters are on disk before the statement about them is, and what has none does not
// count: a party that is interrupted begins its part anew.

// Names of files.
const (
	planFile     = "plan.json"
	powersFile   = "powers.json"
	circuitsFile = "circuits.json"
	madeFile     = "keys.json"

	// KeysFolder holds the keys in a transcript's folder.
	KeysFolder = "keys"
)

// maxStatement bounds the file of a statement, in bytes.
const maxStatement = 1 << 17

// Transcript is what was done in a ceremony so far. It is read once: what another process
// adds to the folder is not seen.
type Transcript struct {
	dir     string
	plan    Signed[Plan]
	systems []*cs.R1CS // in the plan's order

	parts    map[string][]Signed[Contribution]
	powers   *Signed[Beacon]
	circuits *Signed[Beacon]
	made     *Signed[Made]
}

// Start plans a ceremony for circuits and makes its folder, which must not hold one.
func Start(dir string, name string, parties int, list []circuits.Circuit, key identity.Key, now time.Time) (*Transcript, error) {
	plan := Plan{Name: name, Parties: parties}
	for _, c := range list {
		system, err := c.Compile()
		if err != nil {
			return nil, err
		}
		plan.Circuits = append(plan.Circuits, Subject{c, circuits.Digest(system)})
	}
	if err := plan.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a transcript is public
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, planFile)); err == nil {
		return nil, fmt.Errorf("%s holds a ceremony: contribute to it, or name another folder", dir)
	}
	if _, err := sign(dir, planFile, key, KindPlan, plan, now); err != nil {
		return nil, err
	}
	return Open(dir)
}

// Open reads the statements of a transcript and checks their signatures and order, and that
// the circuits are those that this program has. Parameters are for [Transcript.Verify].
func Open(dir string) (*Transcript, error) {
	t := &Transcript{dir: dir, parts: make(map[string][]Signed[Contribution])}
	plan, err := statement[Plan](dir, planFile, KindPlan)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no ceremony", dir)
	}
	if err != nil {
		return nil, err
	}
	if err := plan.Statement.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTranscript, err)
	}
	t.plan = *plan
	for _, s := range plan.Statement.Circuits {
		system, err := s.Circuit.Compile()
		if err != nil {
			return nil, err
		}
		if got := circuits.Digest(system); got != s.System {
			return nil, fmt.Errorf("circuit %s is another one in this program: %.16s, not %.16s; use the program that began the ceremony", s.Circuit, got, s.System)
		}
		t.systems = append(t.systems, system)
	}
	if err := t.readFirst(); err != nil {
		return nil, err
	}
	return t, t.readSecond()
}

// readFirst reads the statements of the first phase.
func (t *Transcript) readFirst() (err error) {
	if err := t.readPart(Powers, t.plan.Digest()); err != nil {
		return err
	}
	t.powers, err = t.readBeacon(powersFile, []string{Powers})
	return err
}

// readSecond reads the statements of the second phase.
func (t *Transcript) readSecond() (err error) {
	if t.powers == nil {
		return nil
	}
	names := t.names()
	for _, name := range names {
		if err := t.readPart(name, t.powers.Digest()); err != nil {
			return err
		}
	}
	if t.circuits, err = t.readBeacon(circuitsFile, names); err != nil || t.circuits == nil {
		return err
	}
	made, err := statement[Made](t.dir, madeFile, KindKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if made.Statement.Previous != t.circuits.Digest() || len(made.Statement.Keys) != len(names) {
		return fmt.Errorf("%w: %s does not follow from it", ErrTranscript, madeFile)
	}
	t.made = made
	return nil
}

// names are those of the second phase's parts.
func (t *Transcript) names() []string {
	var names []string
	for _, s := range t.plan.Statement.Circuits {
		names = append(names, s.Circuit.String())
	}
	return names
}

func (t *Transcript) readPart(name string, previous message.Digest) error {
	for number := 1; ; number++ {
		file := filepath.Join(name, fmt.Sprintf("%03d.json", number))
		c, err := statement[Contribution](t.dir, file, KindContribution)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Statement.Part != name || c.Statement.Number != number || c.Statement.Previous != previous || len(c.Statement.Name) > maxName {
			return fmt.Errorf("%w: %s does not follow what is before it", ErrTranscript, file)
		}
		t.parts[name] = append(t.parts[name], *c)
		previous = c.Digest()
	}
}

func (t *Transcript) readBeacon(file string, parts []string) (*Signed[Beacon], error) {
	b, err := statement[Beacon](t.dir, file, KindBeacon)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := b.Statement.validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTranscript, file, err)
	}
	last, err := t.last(parts)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrTranscript, file, err)
	}
	if fmt.Sprint(last) != fmt.Sprint(b.Statement.Previous) {
		return nil, fmt.Errorf("%w: %s ends other contributions", ErrTranscript, file)
	}
	return b, nil
}

// last returns the digests of the last contributions to parts. It fails while a part lacks
// parties.
func (t *Transcript) last(parts []string) ([]message.Digest, error) {
	list := make([]message.Digest, len(parts))
	for i, part := range parts {
		all := t.parts[part]
		parties := make(map[identity.DID]bool)
		for _, c := range all {
			parties[c.By()] = true
		}
		if len(parties) < t.plan.Statement.Parties {
			return nil, fmt.Errorf("%d parties contributed to %s, %d must", len(parties), part, t.plan.Statement.Parties)
		}
		list[i] = all[len(all)-1].Digest()
	}
	return list, nil
}

// Plan returns what the ceremony is for.
func (t *Transcript) Plan() Signed[Plan] { return t.plan }

// Dir returns the transcript's folder.
func (t *Transcript) Dir() string { return t.dir }

// Parts returns the names of all parts, in the order in which they are held.
func (t *Transcript) Parts() []string { return append([]string{Powers}, t.names()...) }

// Ready reports whether the open parts have the parties that the plan demands.
func (t *Transcript) Ready() bool {
	_, err := t.last(t.OpenParts())
	return err == nil
}

// Contributions returns those to a part, [Powers] or a circuit's name.
func (t *Transcript) Contributions(part string) []Signed[Contribution] { return t.parts[part] }

// OpenParts returns the parts that take contributions now, none of a finished ceremony.
func (t *Transcript) OpenParts() []string {
	switch {
	case t.powers == nil:
		return []string{Powers}
	case t.circuits == nil:
		return t.names()
	}
	return nil
}

// Made returns what came of the ceremony, nil before it is finished.
func (t *Transcript) Made() *Signed[Made] { return t.made }

// Statements returns all statements, each after those that it names.
func (t *Transcript) Statements() []message.Envelope {
	list := []message.Envelope{t.plan.Envelope}
	part := func(name string) {
		for _, c := range t.parts[name] {
			list = append(list, c.Envelope)
		}
	}
	part(Powers)
	if t.powers != nil {
		list = append(list, t.powers.Envelope)
	}
	for _, name := range t.names() {
		part(name)
	}
	if t.circuits != nil {
		list = append(list, t.circuits.Envelope)
	}
	if t.made != nil {
		list = append(list, t.made.Envelope)
	}
	return list
}

// statement reads a signed statement.
func statement[T any](dir, file string, kind message.Kind) (*Signed[T], error) {
	raw, err := readFile(filepath.Join(dir, file), maxStatement)
	if err != nil {
		return nil, err
	}
	e, err := message.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no statement: %w", ErrTranscript, file, err)
	}
	s, err := opened[T](e, kind)
	if err != nil {
		// What to do about a message that does not verify is said for others than these.
		return nil, fmt.Errorf("%w: %s: %s", ErrTranscript, file, err.Error())
	}
	return &s, nil
}

// sign puts a signed statement into the folder.
func sign[T any](dir, file string, key identity.Key, kind message.Kind, body T, now time.Time) (*Signed[T], error) {
	e, err := message.Seal(key, kind, body, now, statementLife, rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, file), bytes.NewReader(append(text, '\n'))); err != nil {
		return nil, err
	}
	s, err := opened[T](e, kind)
	return &s, err
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrTranscript, filepath.Base(path), limit)
	}
	return raw, nil
}

// writeFile puts a file in its place, whole and on disk, or not at all.
func writeFile(path string, content io.WriterTo) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a transcript is public
		return err
	}
	temp, err := os.CreateTemp(dir, ".making-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = content.WriteTo(temp)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Keys returns the keys of a finished ceremony, in the plan's order, from its folder. That they are
// what the transcript makes was for [Transcript.Verify] to say.
func (t *Transcript) Keys(ctx context.Context) ([]*prover.Keys, error) {
	if t.made == nil {
		return nil, errors.New("the ceremony is not finished")
	}
	var list []*prover.Keys
	for _, made := range t.made.Statement.Keys {
		p := prover.Published{Circuit: made.Circuit, VerifyingKey: made.VerifyingKey, ProvingDigest: made.ProvingDigest, Ceremony: t.plan.Digest()}
		k, err := prover.CachedKeys(ctx, filepath.Join(t.dir, KeysFolder), p, func(context.Context) (io.ReadCloser, error) {
			return nil, fmt.Errorf("%w: the folder %s has not the keys of %s", ErrTranscript, KeysFolder, made.Circuit)
		})
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}
