package cdisc

import (
	"hash/maphash"
	"strings"
)

// keys remembers the keys of rows, to find those that come again. Two different keys are
// taken for one with a chance of 1 in 10^7 in a data set of a million rows.
type keys struct {
	seed maphash.Seed
	rows map[uint64]uint64 // of the whole row, by that of its key
	most int
}

func newKeys(most int) keys {
	return keys{seed: maphash.MakeSeed(), rows: map[uint64]uint64{}, most: most}
}

// add remembers a row by its key. known says that a row with the same key came before, same
// that it was the same row.
func (k *keys) add(key string, cells []string) (known, same bool) {
	at, whole := maphash.String(k.seed, key), k.sum(cells)
	before, known := k.rows[at]
	if !known && len(k.rows) < k.most {
		k.rows[at] = whole
	}
	return known, known && before == whole
}

func (k *keys) sum(cells []string) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	for _, c := range cells {
		_, _ = h.WriteString(c)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// joined is one text of several, which no other list of texts gives.
func joined(parts ...string) string { return strings.Join(parts, "\x00") }
