package cdmdb

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
)

// Keys returns the keys of the rows that begin on lines of the table's file, and the column
// that has them, so that what is said of a line can be found in the database. A line on which
// no row begins, such as that of the names, has no key, and a row whose key is no whole number
// has none either: what else stands there may be anything.
func (t Table) Keys(lines []int) (column string, keys map[int]int64, err error) {
	column, keys = cdm.StoredTable(t.table).Columns[0].Name, map[int]int64{}
	if len(lines) == 0 {
		return column, keys, nil
	}
	last := slices.Max(lines)
	plain, err := gzip.NewReader(io.NewSectionReader(t, 0, t.Size()))
	if err != nil {
		return "", nil, fmt.Errorf("keys of table %s: %w", t.table, err)
	}
	rows := csv.NewReader(plain)
	rows.ReuseRecord = true
	at := -1
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return column, keys, nil
		}
		if err != nil {
			return "", nil, errors.New("keys of table " + t.table + ": the copy cannot be read") // err may quote it
		}
		line, _ := rows.FieldPos(0)
		switch {
		case line == 1:
			at = slices.Index(row, column)
			if at < 0 {
				return column, keys, nil
			}
		case line > last:
			return column, keys, nil
		case slices.Contains(lines, line):
			if key, err := strconv.ParseInt(row[at], 10, 64); err == nil {
				keys[line] = key
			}
		}
	}
}
