package ucum

import (
	"strings"
	"sync"
)

// maxKnown bounds what a [Converter] remembers. A large hospital has some hundred
// pairs of units.
const maxKnown = 4096

// Converter finds conversions by the codes of two units and remembers them, also
// the ones that there are not: whoever converts a stream of values meets few pairs
// of units again and again. It forgets everything when it knows 4,096 pairs. The
// zero value is ready to use, by many goroutines.
type Converter struct {
	mu    sync.RWMutex
	known map[pair]found
}

type pair struct{ from, to string }

type found struct {
	conversion Conversion
	err        error
}

// Conversion relates two units by their codes. It fails as [Parse] and
// [NewConversion] do.
func (c *Converter) Conversion(from, to string) (Conversion, error) {
	p := pair{from, to}
	c.mu.RLock()
	f, ok := c.known[p]
	c.mu.RUnlock()
	if !ok {
		f.conversion, f.err = p.conversion()
		c.remember(p, f)
	}
	return f.conversion, f.err
}

func (c *Converter) remember(p pair, f found) {
	if len(p.from) > MaxLength || len(p.to) > MaxLength {
		return // the refusal is cheaper than the memory
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = make(map[pair]found)
	}
	// The codes may be parts of a large message, which must not stay with them.
	c.known[pair{strings.Clone(p.from), strings.Clone(p.to)}] = f
}

func (p pair) conversion() (Conversion, error) {
	from, err := Parse(p.from)
	if err != nil {
		return Conversion{}, err
	}
	to, err := Parse(p.to)
	if err != nil {
		return Conversion{}, err
	}
	return NewConversion(from, to)
}
