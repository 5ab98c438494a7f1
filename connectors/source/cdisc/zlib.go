package cdisc

import (
	"bufio"
	"cmp"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// isZlib reports whether head begins a zlib stream (RFC 1950, section 2.2), as Compressed
// Dataset-JSON is specified to be; the published examples of it are gzip.
func isZlib(head []byte) bool {
	return len(head) >= 2 && head[0] == 0x78 && (int(head[0])<<8|int(head[1]))%31 == 0
}

// expansionAllowance is what a compressed input may become before its ratio counts.
const expansionAllowance = 1 << 20

// inflater is a zlib stream that expands within the limits of opts.
type inflater struct {
	src       *counter
	plain     io.Reader
	total     int64
	maxTotal  int64
	expansion int64 // bytes out of one
}

// counter counts the bytes that were read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// inflate returns the uncompressed input of br if that is Dataset-JSON under zlib, else br.
func inflate(br *bufio.Reader, opts fhir.Options) (*bufio.Reader, error) {
	head, _ := br.Peek(headSize)
	if !isZlib(head) || containerOf(plain(head)) != jsonFile {
		return br, nil
	}
	src := &counter{Reader: br}
	z, err := zlib.NewReader(src)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(&inflater{
		src: src, plain: z,
		maxTotal: cmp.Or(max(opts.MaxTotal, 0), 64<<30), expansion: int64(cmp.Or(max(opts.MaxExpansion, 0), 200)),
	}, br.Size()), nil
}

func (in *inflater) Read(p []byte) (int, error) {
	n, err := in.plain.Read(p)
	in.total += int64(n)
	var corrupt flate.CorruptInputError
	switch {
	case in.total > in.maxTotal:
		return 0, &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "the input is over the total limit"}
	case in.total > expansionAllowance+in.src.n*in.expansion:
		return 0, &fhir.Problem{Rule: fhir.RuleGzipExpansion, Detail: "it expands beyond the limit"}
	case errors.As(err, &corrupt), errors.Is(err, zlib.ErrChecksum):
		return n, &fhir.Problem{Rule: fhir.RuleCorruptGzip, Detail: "the rest cannot be decompressed"}
	}
	return n, err
}
