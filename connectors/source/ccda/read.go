package ccda

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Options are the limits of one [Read]. The zero value takes the defaults.
type Options struct {
	// Limits are those of the input. MaxTotal is the size of the document, 64 MiB unless
	// it is less; MaxRecord that of one entry or section, 16 MiB by default; MaxDepth how
	// deep elements nest, 100 by default. MaxTracked has no meaning here.
	Limits fhir.Options

	// MaxNodes is how many elements and attributes one entry may have, and the header:
	// about 5,000 results. Each takes some 100 bytes. Defaults to 200,000.
	MaxNodes int
}

// maxDocument is the most that a document may have in bytes, uncompressed.
const maxDocument = 64 << 20

func (o Options) withDefaults() Options {
	if o.Limits.MaxTotal <= 0 || o.Limits.MaxTotal > maxDocument {
		o.Limits.MaxTotal = maxDocument
	}
	if o.Limits.MaxRecord <= 0 {
		o.Limits.MaxRecord = 16 << 20
	}
	if o.Limits.MaxDepth <= 0 {
		o.Limits.MaxDepth = 100
	}
	if o.MaxNodes <= 0 {
		o.MaxNodes = 200_000
	}
	return o
}

// errStopped ends a read whose caller has had enough, or after which nothing can come.
var errStopped = errors.New("ccda: stopped")

// Read yields what the document in src says, in order. The first record has Type
// ClinicalDocument and holds the header as it came. Line is that on which the entry or
// section begins. Raw is in UTF-8, whatever the document's encoding.
//
// The error is a [*fhir.Problem] if an entry or the rest of the document could not be
// used; the Record is then empty and iteration goes on. Any other error (ctx ended, src
// failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, opts Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		r := &reader{opts: opts.withDefaults(), yield: yield}
		err := r.open(ctx, src)
		if err == nil {
			err = r.document()
			r.convert.finish()
		}
		if r.stopped {
			return
		}
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		if p, ok := fhir.InputProblem(err, 1); ok { // before the first byte
			err = p
		}
		if p, ok := fhir.AsProblem(err); ok && p.Path == "" {
			p.Path = string(r.at)
		}
		yield(fhir.Record{}, err)
	}
}

type reader struct {
	opts    Options
	scan    *scanner
	yield   func(fhir.Record, error) bool
	stopped bool
	convert converter
	at      place          // what is being read
	names   map[string]int // how many sections of a name there were
}

// open finds the text of the document.
func (r *reader) open(ctx context.Context, src io.Reader) error {
	in, err := fhir.OpenInput(ctx, src, r.opts.Limits)
	if err != nil {
		return fmt.Errorf("ccda: open input: %w", err)
	}
	br, ok, err := decoded(bufio.NewReaderSize(in, 64<<10))
	if err != nil {
		return fmt.Errorf("ccda: read input: %w", err)
	}
	if !ok {
		return &fhir.Problem{Rule: RuleUnsupportedCharset, Line: 1, Detail: "want UTF-8, UTF-16, or a Latin or Windows character set"}
	}
	r.scan = newScanner(&recorder{br: br, limit: r.opts.Limits.MaxRecord}, r.opts.Limits.MaxDepth)
	r.names = map[string]int{}
	r.convert = converter{seen: map[string]string{}, narrative: &narrative{}, emit: r.take}
	return nil
}

// take yields what the converter gives.
func (r *reader) take(rec fhir.Record, p *fhir.Problem) {
	switch {
	case r.stopped:
	case p != nil:
		r.stopped = !r.yield(fhir.Record{}, p)
	default:
		r.stopped = !r.yield(rec, nil)
	}
}

// report yields a problem and returns errStopped if the caller wants no more.
func (r *reader) report(p *fhir.Problem) error {
	r.take(fhir.Record{}, p)
	return r.ended()
}

// ended returns errStopped if the caller wants no more.
func (r *reader) ended() error {
	if r.stopped {
		return errStopped
	}
	return nil
}
