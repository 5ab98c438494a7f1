package extract

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// Key is the secret of a study. Whoever has it and the store can lead a pseudonym back
// to its person; whoever has only the extract cannot. It does not print.
type Key struct{ secret [32]byte }

// Format prints a fixed text whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key:redacted") }

// NewKey returns the key with the given random bytes.
func NewKey(secret [32]byte) Key { return Key{secret} }

const keySuffix = ".key"

// ReadKey reads the key of a study from a folder, or [fs.ErrNotExist].
func ReadKey(folder, study string) (Key, error) {
	path := filepath.Join(folder, study+keySuffix)
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("study key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("study key %s: others have access to it (mode %04o); make it 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("study key: %w", err)
	}
	var k Key
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || copy(k.secret[:], raw) != len(k.secret) || len(raw) != len(k.secret) {
		return Key{}, fmt.Errorf("study key %s: want 64 hexadecimal digits", path)
	}
	return k, nil
}

// OpenKey is ReadKey, but makes the key of a study that has none yet, mode 0600 and
// durable.
func OpenKey(folder, study string) (Key, error) {
	k, err := ReadKey(folder, study)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Key{}, fmt.Errorf("study key: %w", err)
	}
	if _, err := rand.Read(k.secret[:]); err != nil {
		return Key{}, fmt.Errorf("study key: %w", err)
	}
	if err := writeKey(folder, study, k); err != nil {
		return Key{}, fmt.Errorf("study key: %w", err)
	}
	return ReadKey(folder, study) // another process may have been first
}

// writeKey puts a whole key in place, unless there is one.
func writeKey(folder, study string, k Key) error {
	f, err := os.CreateTemp(folder, ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(k.secret[:]) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), filepath.Join(folder, study+keySuffix)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(syncDir(folder), syncDir(filepath.Dir(folder)))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// disguise is what a study makes of a person. It is not safe for concurrent use.
type disguise struct {
	mask  *omop.Mask
	dates Dates
}

func newDisguise(k Key, d Dates) *disguise { return &disguise{omop.NewMask(k.secret), d} }

// idBits is the width of pseudonyms: R and JavaScript keep numbers up to 2^53 whole.
const idBits = 52

// pseudonym returns a person's number in the study, 1 to 2^52, the first of its
// sequence that is not taken.
func (d *disguise) pseudonym(p omop.PersonID, taken func(int64) bool) int64 {
	for i := 0; ; i++ {
		sum := d.mask.Of(fmt.Sprintf("trialmesh extract v1 person %d", i), p)
		if id := int64(binary.BigEndian.Uint64(sum[:])>>(64-idBits)) + 1; !taken(id) {
			return id
		}
	}
}

// days returns by how many days a person's dates are moved: any number from -Days to
// Days, or any whole number of weeks among them, with the same chance.
func (d *disguise) days(p omop.PersonID) omop.Date {
	if d.dates.Method != Shift {
		return 0
	}
	step := 1
	if d.dates.Weekdays {
		step = 7
	}
	most := d.dates.Days / step
	sum := d.mask.Of("trialmesh extract v1 days", p)
	// Of 64 bits, so that no number is more likely by over 2^-50.
	n := binary.BigEndian.Uint64(sum[:]) % uint64(2*most+1)
	return omop.Date((int(n) - most) * step)
}
