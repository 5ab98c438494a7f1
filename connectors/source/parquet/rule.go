package parquet

import (
	"errors"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// What can be wrong with a Parquet file besides the rules of package fhir. The values are
// stable: operators filter by them.
const (
	RuleCorrupt     fhir.Rule = "corrupt-parquet"     // the file is damaged, or no Parquet behind its first bytes
	RuleNested      fhir.Rule = "nested-column"       // a list, a map or a group, which no table has
	RuleUnsupported fhir.Rule = "unsupported-parquet" // encryption, LZO or Hadoop's LZ4, or a type that has no text
)

var (
	errCorrupt   = &fhir.Problem{Rule: RuleCorrupt, Detail: "the file is damaged or cut short"}
	errEncrypted = &fhir.Problem{Rule: RuleUnsupported, Detail: "it is encrypted; export it without Parquet's encryption"}
	errCodec     = &fhir.Problem{Rule: RuleUnsupported, Detail: "it is compressed by LZO or Hadoop's LZ4; export it with zstd, snappy or gzip"}
	errMemory    = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "its pages are over the limit; write it with pages of about 1 MiB"}
	errFooter    = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "its footer is over the limit; write fewer columns or larger row groups"}
	errRow       = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a row is over the record limit; the rest is not read"}
	errExpansion = &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "its rows expand beyond the limit"}
)

// fault is what a failure of the library amounts to: the source's own, one of the problems
// above, or else damage. The library's words may hold names and values and are dropped.
func (t *Table) fault(failure any) error {
	if err := t.src.failed(); err != nil {
		return err
	}
	err, _ := failure.(error)
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if p := new(fhir.Problem); errors.As(err, &p) {
		return p
	}
	return errCorrupt
}
