package ucum

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
)

// essenceXML is ucum-essence.xml as UCUM publishes it.
//
//go:embed ucum-essence.xml
var essenceXML []byte

// essence returns the definitions. They are read once; a file that cannot be read
// is a bug of this program.
var essence = sync.OnceValue(func() *catalog {
	c, err := readEssence(essenceXML)
	if err != nil {
		panic("ucum: embedded essence: " + err.Error())
	}
	return c
})

// catalog holds the terminal symbols.
type catalog struct {
	version  string
	prefixes map[string]*prefix
	atoms    map[string]*atom
	order    []*atom // as in the file
}

type prefix struct {
	name   string
	factor *big.Rat
}

// atom is a unit without prefix.
type atom struct {
	Definition
	measure measure // of the proper unit a special one is defined on
	scale   *scale  // nil for a proper unit
}

// find splits a symbol into prefix and atom. Only metric atoms take a prefix, and
// then no symbol of the essence can be split in two ways.
func (c *catalog) find(symbol string) (*prefix, *atom, bool) {
	if a, ok := c.atoms[symbol]; ok {
		return nil, a, true
	}
	for n := min(longestPrefix, len(symbol)-1); n > 0; n-- {
		if p, ok := c.prefixes[symbol[:n]]; ok {
			if a, ok := c.atoms[symbol[n:]]; ok && a.Metric {
				return p, a, true
			}
		}
	}
	return nil, nil, false
}

// longestPrefix is the length of da, in bytes.
const longestPrefix = 2

// essenceFile is the part of the file that is used.
type essenceFile struct {
	Version  string      `xml:"version,attr"`
	Prefixes []unitEntry `xml:"prefix"`
	Bases    []unitEntry `xml:"base-unit"`
	Units    []unitEntry `xml:"unit"`
}

type unitEntry struct {
	Code      string   `xml:"Code,attr"`
	Metric    string   `xml:"isMetric,attr"`
	Special   string   `xml:"isSpecial,attr"`
	Arbitrary string   `xml:"isArbitrary,attr"`
	Class     string   `xml:"class,attr"`
	Names     []string `xml:"name"`
	Symbol    markup   `xml:"printSymbol"`
	Property  string   `xml:"property"`
	Value     struct {
		Unit  string `xml:"Unit,attr"`
		Value string `xml:"value,attr"`
	} `xml:"value"`
}

// readEssence builds the catalog.
func readEssence(raw []byte) (*catalog, error) {
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	decoder.CharsetReader = func(charset string, input io.Reader) (io.Reader, error) {
		if charset != "ascii" {
			return nil, fmt.Errorf("charset %s: must be ascii", charset)
		}
		return input, nil
	}
	var file essenceFile
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	c := &catalog{
		version:  file.Version,
		prefixes: make(map[string]*prefix, len(file.Prefixes)),
		atoms:    make(map[string]*atom, len(file.Bases)+len(file.Units)),
	}
	for _, e := range file.Prefixes {
		factor, ok := new(big.Rat).SetString(e.Value.Value)
		if !ok {
			return nil, fmt.Errorf("prefix %s: no value", e.Code)
		}
		c.prefixes[e.Code] = &prefix{name: e.Names[0], factor: factor}
	}
	for _, e := range file.Bases {
		c.atoms[e.Code] = &atom{Definition: e.definition(), measure: base(e.Code)}
		c.atoms[e.Code].Base, c.atoms[e.Code].Metric = true, true
	}
	if err := c.defineAll(file.Units); err != nil {
		return nil, err
	}
	for _, e := range slices.Concat(file.Bases, file.Units) {
		c.order = append(c.order, c.atoms[e.Code])
	}
	return c, nil
}

// defineAll defines units in as many passes as it takes, because some stand before
// those that they are defined on.
func (c *catalog) defineAll(units []unitEntry) error {
	for len(units) > 0 {
		var later []unitEntry
		var reason error
		for _, e := range units {
			a, err := c.define(e)
			if err != nil {
				later, reason = append(later, e), fmt.Errorf("unit %s: %w", e.Code, err)
				continue
			}
			c.atoms[e.Code] = a
		}
		if len(later) == len(units) {
			return reason
		}
		units = later
	}
	return nil
}

// define evaluates what a unit is defined as.
func (c *catalog) define(e unitEntry) (*atom, error) {
	a := &atom{Definition: e.definition()}
	amount, unit := e.Value.Value, e.Value.Unit
	switch {
	case a.Arbitrary && unit == "1":
		a.measure = base(e.Code)
		return a, nil
	case a.Special:
		var err error
		if a.scale, amount, unit, err = readScale(unit); err != nil {
			return nil, err
		}
	}
	t, err := c.parse(unit)
	if err != nil {
		return nil, err
	}
	v, err := t.evaluate()
	if err != nil {
		return nil, err
	}
	magnitude, ok := new(big.Rat).SetString(amount)
	if !ok || v.scale != nil {
		return nil, errors.New("no number of a proper unit")
	}
	if a.measure, ok = v.measure.times(measure{magnitude: magnitude}); !ok {
		return nil, errors.New("magnitude out of bounds")
	}
	return a, nil
}

func base(code string) measure {
	return measure{magnitude: one, dimension: dimension{{code, 1}}}
}
