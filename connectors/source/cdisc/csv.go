package cdisc

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// errTooLarge is what a row over the limit amounts to.
var errTooLarge = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a row is over the record limit; the rest is not read"}

// csv reads a data set as a table of text, whose first line has the names of the variables.
func (r *reader) csv(br *bufio.Reader) error {
	head, err := br.Peek(br.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	names, delimiter := headerOf(head)
	if !isDataset(names) {
		return &fhir.Problem{Rule: RuleNotCDISC, Line: 1, Detail: "no SAS transport file, no Dataset-JSON, and no header with STUDYID, DOMAIN and USUBJID"}
	}
	if len(names) > maxVariables {
		return &fhir.Problem{Rule: fhir.RuleTooLarge, Line: 1, Detail: "want at most 10,000 variables"}
	}
	if _, err := br.ReadSlice('\n'); err != nil {
		return err
	}
	if err := r.begin(table{name: tableName(names), columns: names, text: true}); err != nil {
		return err
	}
	in := &fhir.Bounded{Src: br, Most: r.opts.MaxRecord, Over: errTooLarge}
	rows := csv.NewReader(in)
	rows.Comma, rows.FieldsPerRecord, rows.ReuseRecord = delimiter, -1, true
	for number := 1; ; number++ {
		in.Renew()
		cells, err := rows.Read()
		var faulty *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &faulty):
			err = r.report(&fhir.Problem{Rule: RuleMalformedRow, Line: faulty.StartLine + 1, Detail: "quotes do not match"})
		case err != nil:
			return err
		default:
			line, _ := rows.FieldPos(0)
			err = r.row(line+1, number, cells)
		}
		if err != nil {
			return err
		}
	}
}
