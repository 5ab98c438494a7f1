// Package observation reads time series that a site's own programs write as JSON:
// what POST /v1/ingest/observations takes.
//
// A document names its source and lists observations. An observation is of one
// person, by the id of the FHIR Patient, of one code, in one UCUM unit, and has one
// value or a column of times and one of values:
//
//	{"source": "ward-3", "observations": [
//	  {"person": "p-17", "system": "http://loinc.org", "code": "8867-4", "unit": "/min",
//	   "times": ["2026-03-01T08:00:00Z", 1772352060000], "values": [71, 73]},
//	  {"person": "p-17", "system": "http://loinc.org", "code": "8310-5", "unit": "Cel",
//	   "time": "2026-03-01T08:00:00+01:00", "value": 36.8}]}
//
// Times are RFC 3339 or milliseconds since 1970 UTC. Start from [Read], which yields
// a [fhir.Record] for each observation; its Resource is a [*Series]. One that cannot
// be used becomes a problem with its place, and reading goes on with the next. Places
// are observations, such as observations[17].values[3]; lines are not counted and 0.
package observation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/jsonstream"
)

// Type is the Type of the records.
const Type = "Series"

// defaultRecord is how many bytes an observation may have if Options do not say it.
const defaultRecord = 16 << 20

// maxSource bounds the name of a source in bytes.
const maxSource = 64

// Detect reports whether an input that begins with head is such a document: its
// first member is the source.
func Detect(head []byte) bool {
	rest, object := bytes.CutPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
	return object && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"source"`))
}

// Read yields the observations of one document, plain or gzip, in order.
//
// The error is a [*fhir.Problem] if an observation, or the rest of a damaged input,
// could not be used; the Record is then empty. Any other error (ctx ended, src
// failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		in, err := fhir.OpenInput(ctx, src, opts)
		if err == nil {
			r := &reader{in: jsonstream.New(in, cmp.Or(opts.MaxRecord, defaultRecord), errRecord), yield: yield}
			err = r.document()
		}
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		var problem *fhir.Problem
		if errors.As(err, &problem) {
			yield(fhir.Record{}, problem)
		} else if problem, ok := fhir.InputProblem(err, 0); ok {
			yield(fhir.Record{}, problem)
		} else {
			yield(fhir.Record{}, fmt.Errorf("observation: read input: %w", err))
		}
	}
}

var (
	errStopped = errors.New("observation: stopped")
	errRecord  = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "an observation is over the limit; split its columns"}
)

type reader struct {
	in     *jsonstream.Stream
	yield  func(fhir.Record, error) bool
	source string
	n      int // observations so far
}

// document reads the object around the observations.
func (r *reader) document() error {
	if err := r.in.Expect('{'); err != nil {
		return err
	}
	listed := false
	for r.in.Renew(); r.in.More(); r.in.Renew() {
		key, err := r.in.Token()
		if err != nil {
			return err
		}
		switch {
		case key == "source" && r.source == "" && !listed:
			if err := r.in.Decode(&r.source); err != nil {
				return err
			}
			if !isName(r.source) {
				return &fhir.Problem{Rule: fhir.RuleInvalidID, Path: "source", Detail: "want 1 to 64 letters, digits, - _ . or :"}
			}
		case key == "observations" && r.source != "" && !listed:
			listed = true
			if err := r.list(); err != nil {
				return err
			}
		case key == "observations" && r.source == "":
			return &fhir.Problem{Rule: fhir.RuleMissingField, Path: "source", Detail: "it has to come before observations"}
		default:
			return &fhir.Problem{Rule: fhir.RuleMalformedJSON, Detail: "want source and observations, each once"}
		}
	}
	if err := r.in.Expect('}'); err != nil {
		return err
	}
	if !listed {
		return &fhir.Problem{Rule: fhir.RuleMissingField, Path: "observations"}
	}
	return r.in.End()
}

func (r *reader) list() error {
	if err := r.in.Expect('['); err != nil {
		return err
	}
	for ; r.in.More(); r.n++ {
		r.in.Renew()
		raw, err := r.in.Value()
		if err != nil {
			return err
		}
		path := "observations[" + strconv.Itoa(r.n) + "]"
		series, problem := parse(raw)
		record, err := fhir.Record{Type: Type, Path: path, Resource: series}, error(nil)
		if problem != nil {
			problem.Path = path + problem.Path
			record, err = fhir.Record{}, problem
		} else {
			series.Source = r.source
		}
		if !r.yield(record, err) {
			return errStopped
		}
	}
	return r.in.Expect(']')
}

// isName reports whether s may name a source: nothing that needs escaping anywhere.
func isName(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return s != "" && len(s) <= maxSource
}
