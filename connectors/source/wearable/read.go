package wearable

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/jsonstream"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

const (
	// maxPart is how many bytes a payload may have besides its lists, and an element
	// of a list. A day of a heart rate each second has 3 MB.
	maxPart = 4 << 20
	// maxValues is how many values such a part may have. That day has 260,000.
	maxValues = 500_000
	// maxDepth is how deep a payload may nest if Options do not say it.
	maxDepth = 64
)

// Detect reports whether an input that begins with head is such a document: its
// first member is the wearable.
func Detect(head []byte) bool {
	rest, object := bytes.CutPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
	return object && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"wearable"`))
}

// Read yields the series of one document, plain or gzip, in order. The lists of a
// payload are streamed, so that its size does not matter where the maker's does not
// end a page.
//
// The error is a [*fhir.Problem] if a value, a payload, or the rest of a damaged input
// could not be used; the Record is then empty. Any other error (ctx ended, src failed)
// is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		in, err := fhir.OpenInput(ctx, src, opts)
		if err == nil {
			most := maxPart
			if opts.MaxRecord > 0 {
				most = min(most, opts.MaxRecord)
			}
			r := &reader{in: jsonstream.New(in, most, errPart), depth: cmp.Or(max(opts.MaxDepth, 0), maxDepth), yield: yield}
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
			yield(fhir.Record{}, fmt.Errorf("wearable: read input: %w", err))
		}
	}
}

var (
	errStopped = errors.New("wearable: stopped") // ends a read whose caller has had enough
	errPart    = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a payload is over the limit; ask the maker for shorter spans"}
)

// reader reads one document.
type reader struct {
	in    *jsonstream.Stream
	depth int
	yield func(fhir.Record, error) bool
	units ucum.Converter

	header Header
	maker  *maker
	zone   *time.Location // nil if the document names none
	user   string         // the first user that a payload names, as the maker does
	square float64        // of the person's height in m, from the last weight and BMI; 0 if there was none
}
