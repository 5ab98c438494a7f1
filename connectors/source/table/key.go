package table

import (
	"hash/maphash"
	"strconv"
	"strings"
)

// keys remembers the keys of rows, to find those that come again. Two different keys are
// taken for one with a chance of 1 in 10^7 in a table of a million rows.
type keys struct {
	seed maphash.Seed
	hash maphash.Hash
	rows map[uint64]uint64 // of the whole row, by that of its key
	most int

	untracked int64 // rows whose key was not remembered
}

func newKeys(most int) keys {
	k := keys{seed: maphash.MakeSeed(), rows: map[uint64]uint64{}, most: most}
	k.hash.SetSeed(k.seed)
	return k
}

// add remembers the row that c is at. known says that a row with the same key came
// before, same that it was the same row.
func (k *keys) add(c *converter, text string) (known, same bool) {
	k.hash.Reset()
	c.key(func(part string) {
		_, _ = k.hash.WriteString(part)
		_ = k.hash.WriteByte(0)
	})
	key, whole := k.hash.Sum64(), maphash.String(k.seed, strings.TrimRight(text, "\r\n"))
	before, known := k.rows[key]
	switch {
	case known:
	case len(k.rows) < k.most:
		k.rows[key] = whole
	default:
		k.untracked++
	}
	return known, known && before == whole
}

// key gives the parts of the row's key: the patient, then the cells of the key columns,
// or else of the codes and times of the records that the row makes.
func (c *converter) key(give func(string)) {
	give(c.cell(c.m.patient))
	if c.m.key != nil {
		for _, column := range c.m.key {
			give(c.cell(column))
		}
		return
	}
	for _, i := range c.matched {
		give(strconv.Itoa(i))
		c.m.records[i].keyColumns(func(column int) { give(c.cell(column)) })
	}
}

// keyColumns visits the columns of a record that are part of its key if the mapping does
// not declare one.
func (r *record) keyColumns(visit func(column int)) {
	parts := []field{fieldCode, fieldID, r.kind.at}
	for _, f := range parts {
		if f == fieldCount || r.fields[f].kind != refColumn {
			continue
		}
		visit(r.fields[f].column)
		if r.fields[f].clock >= 0 {
			visit(r.fields[f].clock)
		}
	}
}

// keyNames are the names of the columns that are the key of the current row.
func (c *converter) keyNames() string {
	names := []string{c.m.columns[c.m.patient]}
	add := func(column int) {
		name := c.m.columns[column]
		for _, n := range names {
			if n == name {
				return
			}
		}
		names = append(names, name)
	}
	for _, column := range c.m.key {
		add(column)
	}
	if c.m.key == nil {
		for _, i := range c.matched {
			c.m.records[i].keyColumns(add)
		}
	}
	return strings.Join(names, ", ")
}
