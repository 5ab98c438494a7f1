// Package source reads patient data in every format that a site may bring.
//
// [Read] finds out which format an input has and hands it to that format's reader.
// All of them yield [fhir.Record]: what a record says is in FHIR's words, or in a
// type of its own where FHIR has none for it. A new format is a package beside
// these with a reader of that shape, and one line in the table below.
package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"iter"

	"github.com/trialmesh/trialmesh/connectors/source/ccda"
	"github.com/trialmesh/trialmesh/connectors/source/cdisc"
	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/connectors/source/parquet"
	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// formats are tried in this order. What none claims is a table if it looks like one,
// or XML, or no text, or FHIR, whose reader says what is wrong with it.
var formats = []struct {
	// claims reports whether an input that begins with head, uncompressed, has the
	// format.
	claims func(head []byte) bool
	read   func(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error]
}{
	{observation.Detect, observation.Read},
	{wearable.Detect, wearable.Read},
	{hl7v2.Detect, func(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
		return hl7v2.Read(ctx, src, hl7v2.Options{Limits: opts})
	}},
	{cdisc.Detect, cdisc.Read},
	{ccda.Detect, func(ctx context.Context, src io.Reader, opts fhir.Options) iter.Seq2[fhir.Record, error] {
		return ccda.Read(ctx, src, ccda.Options{Limits: opts})
	}},
	{cdm.Detect, cdm.Read},
}

// headSize is how many bytes of an input are looked at.
const headSize = 4096

// Read yields the records of src, plain or gzip, in order. Tables, also Parquet, are read by
// the site's own mappings, of which tables may be nil; one of SDTM for which the site has
// none is read by that standard. The error is a
// [*fhir.Problem] if one record, or the rest of a damaged input, could not be used;
// the Record is then empty and iteration goes on. Any other error (ctx ended, src
// failed) is the last thing yielded.
func Read(ctx context.Context, src io.Reader, tables *table.Set, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	whole := bufio.NewReaderSize(src, headSize)
	head := plain(whole)
	if parquet.Detect(head) {
		return readParquet(ctx, whole, tables, opts)
	}
	for _, f := range formats {
		if f.claims(head) {
			return f.read(ctx, whole, opts)
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case table.Detect(head):
		if own, err := tables.Detect(head); own == nil && err == nil && cdisc.DetectTable(head) {
			return cdisc.Read(ctx, whole, opts)
		}
		return tables.Read(ctx, whole, opts)
	case bytes.HasPrefix(text, []byte("<")): // the reader of documents says what is wrong with it
		return ccda.Read(ctx, whole, ccda.Options{Limits: opts})
	case bytes.ContainsAny(head, "\x00\x01\x02\x03\x04\x05\x06\x07\x08"):
		return unknown
	}
	return fhir.Read(ctx, whole, opts)
}

// readParquet yields the records of a table that is a Parquet file: of a CDM, or by the
// site's own mappings.
func readParquet(ctx context.Context, src io.Reader, tables *table.Set, opts fhir.Options) iter.Seq2[fhir.Record, error] {
	return func(yield func(fhir.Record, error) bool) {
		t, err := parquet.Open(ctx, src, opts)
		if err != nil {
			yield(fhir.Record{}, err)
			return
		}
		defer t.Close()
		if cdm.Detect(t.Header()) {
			cdm.Read(ctx, t, opts)(yield)
			return
		}
		tables.Read(ctx, t, opts)(yield)
	}
}

// RuleUnknownFormat is the rule of an input that is not text: a picture, a workbook, an
// archive.
const RuleUnknownFormat fhir.Rule = "unknown-format"

func unknown(yield func(fhir.Record, error) bool) {
	yield(fhir.Record{}, &fhir.Problem{Rule: RuleUnknownFormat, Detail: "want FHIR (JSON or NDJSON), HL7 v2, C-CDA, data sets of CDISC or a table"})
}

// plain returns the first bytes of r, uncompressed, without consuming them. What
// keeps them from being read is the reader's to meet again.
func plain(r *bufio.Reader) []byte {
	head, _ := r.Peek(headSize)
	if !bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		return head
	}
	zipped, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	out := make([]byte, headSize)
	n, _ := io.ReadFull(zipped, out)
	return out[:n]
}
