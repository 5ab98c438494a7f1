package dataset

import (
	"io"

	stored "github.com/trialmesh/trialmesh/localstore/dataset"
)

// Rows returns the values of the rows of a file that have no fault of their own.
func Rows(schema stored.Schema, text io.Reader) ([][]float64, error) {
	t, err := read(schema, text)
	if err != nil {
		return nil, err
	}
	var rows [][]float64
	for i := range t.keys {
		rows = append(rows, t.row(i))
	}
	return rows, nil
}
