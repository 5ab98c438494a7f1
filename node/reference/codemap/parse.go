package codemap

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/reference"
)

// The columns, as OMOP CDM 5.4 names them and Usagi exports them.
var (
	required = []string{"source_code", "source_vocabulary_id", "target_concept_id"}
	optional = []string{
		"source_concept_id", "source_code_description", "target_vocabulary_id", "valid_start_date", "valid_end_date", "invalid_reason",
	}
	order = []string{
		"source_code", "source_concept_id", "source_vocabulary_id", "source_code_description", "target_concept_id",
		"target_vocabulary_id", "valid_start_date", "valid_end_date", "invalid_reason",
	}
)

// Bounds of a file.
const (
	maxEntries     = 500_000
	maxCode        = 255 // bytes
	maxDescription = 1000
)

// What an entry is valid for if it does not say.
var (
	firstDay = sqldb.Day(1970, time.January, 1)
	lastDay  = sqldb.Day(2099, time.December, 31)
)

// row is an entry with its line.
type row struct {
	Entry
	line int
}

// parse reads a file of entries.
func parse(content []byte) ([]row, error) {
	t, err := reference.NewTable(content, required, optional)
	if err != nil {
		return nil, err
	}
	var list []row
	var faults reference.Faults
	type name struct {
		code
		target int64
	}
	seen := map[name]int{}
	for {
		ok, err := t.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return list, faults.Err()
		}
		r := readRow(t, &faults)
		key := name{code{r.Vocabulary, r.Code}, r.Target}
		switch before, twice := seen[key]; {
		case twice:
			faults.Add(r.line, "the code and its target stand at line %d already", before)
		case len(list) >= maxEntries:
			return nil, reference.Faults{{Line: r.line, What: "a list has at most 500,000 entries"}}
		}
		seen[key] = r.line
		list = append(list, r)
	}
}

func readRow(t *reference.Table, faults *reference.Faults) row {
	r := row{line: t.Line(), Entry: Entry{
		Code: t.Text("source_code"), Vocabulary: mapping.VocabularyOf(t.Text("source_vocabulary_id")), Description: t.Text("source_code_description"),
		TargetIn: t.Text("target_vocabulary_id"), From: firstDay, To: lastDay, Invalid: t.Text("invalid_reason"),
	}}
	for column, into := range map[string]*int64{"source_concept_id": &r.SourceConcept, "target_concept_id": &r.Target} {
		if text := t.Text(column); text != "" {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil || n < 0 {
				faults.Add(r.line, "%s is not a concept's number", column)
			}
			*into = n
		}
	}
	for column, into := range map[string]*sqldb.Date{"valid_start_date": &r.From, "valid_end_date": &r.To} {
		if text := t.Text(column); text != "" {
			d, err := parseDay(text)
			if err != nil {
				faults.Add(r.line, "%s is not a date, YYYY-MM-DD", column)
			}
			*into = d
		}
	}
	switch {
	case r.Code == "" || len(r.Code) > maxCode:
		faults.Add(r.line, "source_code is empty or over 255 bytes")
	case len(r.Vocabulary) > maxCode:
		faults.Add(r.line, "source_vocabulary_id is over 255 bytes")
	case len(r.Description) > maxDescription:
		faults.Add(r.line, "source_code_description is over 1,000 bytes")
	case r.From > r.To:
		faults.Add(r.line, "valid_end_date is before valid_start_date")
	case r.Invalid != "" && r.Invalid != "D" && r.Invalid != "U":
		faults.Add(r.line, "invalid_reason is not empty, D or U")
	}
	return r
}

// parseDay reads a date with or without hyphens.
func parseDay(text string) (sqldb.Date, error) {
	at, err := time.Parse("20060102", text)
	if err == nil {
		return sqldb.DateOf(at), nil
	}
	return sqldb.ParseDate(text)
}

// write returns the file of entries, with all columns.
func write(list []row) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(order) // a buffer takes everything
	for _, r := range list {
		_ = w.Write([]string{
			r.Code, strconv.FormatInt(r.SourceConcept, 10), r.Vocabulary, r.Description, strconv.FormatInt(r.Target, 10),
			r.TargetIn, r.From.String(), r.To.String(), r.Invalid,
		})
	}
	w.Flush()
	return b.Bytes()
}

// over returns base with the rows of list; those replace all that base has of their
// source vocabularies.
func over(base, list []row) []row {
	fresh := map[string]bool{}
	for _, r := range list {
		fresh[r.Vocabulary] = true
	}
	return slices.Concat(slices.DeleteFunc(base, func(r row) bool { return fresh[r.Vocabulary] }), list)
}
