package main

import (
	"fmt"
	"io"
	"strings"
)

// remarks are what is wrong with rows of a table. They are printed below it: among the rows
// a sentence would be a cell, and make its column as wide as itself.
type remarks []string

func (r *remarks) add(row, problem string) {
	if problem != "" {
		*r = append(*r, row+": "+printable(strings.ReplaceAll(problem, "\n", "; ")))
	}
}

func (r remarks) print(w io.Writer) error {
	if len(r) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(r, "\n"))
	return err
}
