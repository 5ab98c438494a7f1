package linkage

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/bits"
)

// codeBits is the length of a code.
const codeBits = 1024

// Code is a record as a Bloom filter of 1024 bits: codes of similar records have many
// bits in common. It is a pseudonym that can be attacked (DESIGN.md), so it does not
// print; [Code.Text] is for the file that goes to the party that compares.
type Code struct {
	words [codeBits / 64]uint64
	ones  int
}

// IsZero reports whether the record had too little to make a code of.
func (c Code) IsZero() bool { return c.ones == 0 }

// Format prints a fixed text whatever the verb.
func (Code) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "code:redacted") }

// LogValue keeps handlers that use reflection from the bits.
func (Code) LogValue() slog.Value { return slog.StringValue("code:redacted") }

// MarshalJSON always fails.
func (Code) MarshalJSON() ([]byte, error) { return nil, errMustNotLeave }

// Text returns the code in 172 letters (base64), "" for the zero Code.
func (c Code) Text() string {
	if c.IsZero() {
		return ""
	}
	return base64.StdEncoding.EncodeToString(c.bytes())
}

func (c Code) bytes() []byte {
	raw := make([]byte, 0, codeBits/8)
	for _, w := range c.words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return raw
}

// ParseCode reads what [Code.Text] wrote.
func ParseCode(text string) (Code, error) {
	if text == "" {
		return Code{}, nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != codeBits/8 {
		return Code{}, errors.New("not a code: want 128 bytes in base64")
	}
	var c Code
	for i := range c.words {
		c.words[i] = binary.LittleEndian.Uint64(raw[8*i:])
		c.ones += bits.OnesCount64(c.words[i])
	}
	if c.ones == 0 {
		return Code{}, errors.New("not a code: it has no bit")
	}
	return c, nil
}

// Dice returns how similar two codes are, from 0 to 1: twice the bits they have in
// common over the bits of both.
func Dice(a, b *Code) float64 {
	common := 0
	for i, w := range a.words {
		common += bits.OnesCount64(w & b.words[i])
	}
	if common == 0 {
		return 0
	}
	return 2 * float64(common) / float64(a.ones+b.ones)
}

// Coding configures an [Encoder]. Sites that compare codes have the same but for Noise.
type Coding struct {
	// Key is the sites' common secret, 32 bytes. Whoever compares must not have it.
	Key [32]byte

	// Salt makes codes of people born in different years as unlike as chance, so that
	// what is frequent in all years does not show. A pair with a wrong year is lost, and
	// a record without a date has no code.
	Salt bool

	// Flip is the probability with which each bit is inverted, 0 to 0.2: randomized
	// response, with a loss of ln((1-Flip)/Flip) for each bit. 0 inverts none.
	Flip float64

	// Noise is the site's own secret that decides which, 32 bytes, needed with Flip.
	// Encoding a record again gives the same code, so nothing can be averaged out.
	Noise [32]byte
}

// Encoder makes codes. It is for one goroutine.
type Encoder struct {
	salt  bool
	flip  uint32 // in 2^32
	noise []byte
	macs  [len(coded)]hash.Hash
}

// coded is what goes into a code. A field with more bits counts for more; the bits are
// chosen so that a full record fills about 40 % of the filter.
var coded = [...]struct {
	Field
	bits int // for each pair of letters, at most 16
}{
	{GivenName, 14}, {FamilyName, 16}, {BirthDate, 16}, {Sex, 8}, {Town, 8}, {Postcode, 10}, {Street, 6}, {HouseNumber, 6},
}

// leastCoded is how many of these fields a record needs for a code.
const leastCoded = 3

// NewEncoder returns an encoder.
func NewEncoder(c Coding) (*Encoder, error) {
	switch {
	case c.Key == [32]byte{}:
		return nil, errors.New("the key is 32 random bytes")
	case !(c.Flip >= 0 && c.Flip <= 0.2):
		return nil, errors.New("flip is from 0 to 0.2")
	case c.Flip > 0 && c.Noise == [32]byte{}:
		return nil, errors.New("flip needs the site's own noise key of 32 random bytes")
	}
	e := &Encoder{salt: c.Salt, flip: uint32(c.Flip * (1 << 32)), noise: c.Noise[:]}
	for i, field := range coded {
		key, err := hkdf.Key(sha256.New, c.Key[:], nil, valueDomain+"code/"+field.String(), sha256.Size)
		if err != nil {
			return nil, err
		}
		e.macs[i] = hmac.New(sha256.New, key)
	}
	return e, nil
}

// Encode returns the code of a record, the zero Code if it has fewer than three of the
// fields.
//
// Each pair of neighboring letters of a field sets bits at places that HMAC-SHA-256
// gives, all independent: places in a line (double hashing) can be told apart. Numbers
// and dates are pairs with their place.
//
// Source: Schnell, Bachteler and Reiher, "A Novel Error-Tolerant Anonymous Linking
// Code" (2011); Schnell and Borgs, "Randomized Response and Balanced Bloom Filters for
// Privacy Preserving Record Linkage" (2016) for Flip; Niedermeyer et al. (2014) for
// the independent places.
func (e *Encoder) Encode(r *Record) Code {
	var c Code
	var salt string
	if e.salt {
		if !isDate(r.values[BirthDate]) {
			return Code{}
		}
		salt = r.values[BirthDate][:4]
	}
	present := 0
	for i, field := range coded {
		value := r.values[field.Field]
		if value == "" {
			continue
		}
		present++
		for gram := range pairsOf(field.Field, value) {
			e.set(&c, i, salt, gram)
		}
	}
	if present < leastCoded {
		return Code{}
	}
	e.disturb(&c)
	c.ones = 0
	for _, w := range c.words {
		c.ones += bits.OnesCount64(w)
	}
	return c
}

// set sets the bits of one pair of letters.
func (e *Encoder) set(c *Code, field int, salt, gram string) {
	mac := e.macs[field]
	mac.Reset()
	_, _ = io.WriteString(mac, salt+"\x00"+gram)
	var sum [sha256.Size]byte
	mac.Sum(sum[:0])
	for k := range coded[field].bits {
		place := binary.LittleEndian.Uint16(sum[2*k:]) % codeBits
		c.words[place/64] |= 1 << (place % 64)
	}
}

// disturb inverts each bit with the encoder's probability.
func (e *Encoder) disturb(c *Code) {
	if e.flip == 0 {
		return
	}
	mac := hmac.New(sha256.New, e.noise)
	mac.Write(c.bytes())
	seed := mac.Sum(nil)
	var block [sha256.Size]byte
	for bit := range codeBits {
		if bit%8 == 0 {
			block = sha256.Sum256(append(seed, byte(bit/8)))
		}
		if binary.LittleEndian.Uint32(block[bit%8*4:]) < e.flip {
			c.words[bit/64] ^= 1 << (bit % 64)
		}
	}
}
