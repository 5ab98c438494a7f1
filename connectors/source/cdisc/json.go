package cdisc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Dataset-JSON is one object whose member rows is an array of arrays, or NDJSON: the object
// without rows in the first line, then a row a line.
//
// Source: CDISC Dataset-JSON specification 1.1, and its schemas dataset.schema.json and
// dataset-ndjson-schema.json.
type datasetJSON struct {
	out     *reader
	in      *fhir.Bounded
	dec     *json.Decoder
	version string
	name    string
	columns []string
	records int64 // as the object says; -1 if it does not
	number  int   // of rows that came
	begun   bool
	cells   []string
}

func (r *reader) json(br *bufio.Reader) error {
	if bom, _ := br.Peek(len(byteOrderMark)); string(bom) == byteOrderMark {
		_, _ = br.Discard(len(byteOrderMark))
	}
	d := &datasetJSON{out: r, in: &fhir.Bounded{Src: br, Most: r.opts.MaxRecord, Over: errTooLarge}, records: -1}
	d.in.Renew()
	d.dec = json.NewDecoder(d.in)
	inside, err := d.object()
	switch {
	case err != nil:
	case inside:
		err = d.end()
	default:
		err = d.lines(io.MultiReader(d.dec.Buffered(), br))
	}
	if err != nil {
		return faultOf(err)
	}
	if d.records >= 0 && d.records != int64(d.number) {
		return &fhir.Problem{Rule: RuleRowCount, Path: "records", Line: 1, Detail: "the data set has not as many rows as it says"}
	}
	return nil
}

// faultOf is the problem that an error of encoding/json amounts to, or err itself.
func faultOf(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Line: 1, Detail: "the rest is not read"}
	case errors.As(err, &kind):
		return &fhir.Problem{Rule: fhir.RuleWrongType, Line: 1, Detail: "of the description of the data set"}
	}
	return truncated(err)
}

// object reads the object; inside says that the rows were in it.
func (d *datasetJSON) object() (inside bool, err error) {
	if _, err := d.dec.Token(); err != nil {
		return false, err
	}
	for d.dec.More() {
		d.in.Renew()
		key, err := d.dec.Token()
		if err != nil {
			return false, err
		}
		switch key {
		case "rows":
			inside = true
			err = d.rows()
		case "datasetJSONVersion":
			err = d.dec.Decode(&d.version)
		case "name":
			err = d.dec.Decode(&d.name)
		case "records":
			err = d.dec.Decode(&d.records)
		case "columns":
			err = d.describe()
		default:
			var other json.RawMessage
			err = d.dec.Decode(&other)
		}
		if err != nil {
			return inside, err
		}
	}
	d.in.Renew()
	if _, err := d.dec.Token(); err != nil {
		return inside, err
	}
	return inside, d.begin()
}

// end expects the end of the input behind an object with rows.
func (d *datasetJSON) end() error {
	d.in.Renew()
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Line: 1, Detail: "more follows after the data set"}
	}
	return nil
}

// describe reads the list of variables.
func (d *datasetJSON) describe() error {
	var columns []struct {
		Name string `json:"name"`
	}
	if err := d.dec.Decode(&columns); err != nil {
		return err
	}
	if len(columns) > maxVariables {
		return &fhir.Problem{Rule: fhir.RuleTooLarge, Line: 1, Path: "columns", Detail: "want at most 10,000 variables"}
	}
	d.columns = make([]string, len(columns))
	for i, c := range columns {
		d.columns[i] = strings.ToUpper(c.Name)
	}
	return nil
}

// begin begins the data set once it is described; a second call does nothing.
func (d *datasetJSON) begin() error {
	switch {
	case d.begun:
		return nil
	case !strings.HasPrefix(d.version, "1.1"):
		return &fhir.Problem{Rule: RuleUnsupportedVersion, Line: 1, Path: "datasetJSONVersion", Detail: "want 1.1"}
	case len(d.columns) == 0:
		return &fhir.Problem{Rule: fhir.RuleMissingField, Line: 1, Path: "columns", Detail: "they have to come before rows"}
	}
	d.begun = true
	d.cells = make([]string, 0, len(d.columns))
	return d.out.begin(table{name: d.name, columns: d.columns})
}

// rows reads the array of rows inside of the object.
func (d *datasetJSON) rows() error {
	if err := d.begin(); err != nil {
		return err
	}
	if open, err := d.dec.Token(); err != nil || open != json.Delim('[') {
		if err != nil {
			return err
		}
		return &fhir.Problem{Rule: fhir.RuleWrongType, Line: 1, Path: "rows", Detail: "want an array"}
	}
	for d.dec.More() {
		d.in.Renew()
		var raw json.RawMessage
		if err := d.dec.Decode(&raw); err != nil {
			return err
		}
		d.number++
		if err := d.row(d.number, raw); err != nil {
			return err
		}
	}
	d.in.Renew()
	_, err := d.dec.Token()
	return err
}

// lines reads the rows behind the object, one a line.
func (d *datasetJSON) lines(src io.Reader) error {
	in := bufio.NewScanner(src)
	in.Buffer(nil, d.out.opts.MaxRecord)
	for line := 1; in.Scan(); line++ {
		raw := bytes.TrimSpace(in.Bytes())
		if len(raw) == 0 { // as is what follows the object on its line
			continue
		}
		d.number++
		err := d.row(line, raw)
		if err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return errTooLarge
	}
	return in.Err()
}
