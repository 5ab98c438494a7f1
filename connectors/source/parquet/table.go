package parquet

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const (
	magic     = "PAR1"
	encrypted = "PARE" // with an encrypted footer

	headSize   = 4096    // bytes that tell what a file is
	maxFooter  = 8 << 20 // bytes
	maxColumns = 1600    // as databases have
	maxRow     = 8 << 20 // bytes of text, unless Options say it

	bufferSize = 16 << 10 // bytes read at once of a column
	textSize   = 64 << 10 // bytes of text made at once
)

// Detect reports whether a file that begins with head, plain or gzip, is Parquet.
func Detect(head []byte) bool {
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(bytes.NewReader(head))
		if err != nil {
			return false
		}
		head = make([]byte, len(magic))
		_, _ = io.ReadFull(zipped, head) // what is missing does not match
	}
	return bytes.HasPrefix(head, []byte(magic)) || bytes.HasPrefix(head, []byte(encrypted))
}

// Text returns src, or the [*Table] that it holds if it is a Parquet file, for as long as
// ctx lives. Closing that closes src; after an error src is the caller's to close.
func Text(ctx context.Context, src io.ReadCloser, opts fhir.Options) (io.ReadCloser, error) {
	head, from := make([]byte, headSize), io.Reader(src)
	n := 0
	if f, ok := src.(random); ok {
		n, _ = f.ReadAt(head, 0) // nothing of a pipe
	}
	if n == 0 {
		br := bufio.NewReaderSize(src, headSize)
		begun, _ := br.Peek(headSize) // reading on meets the error again
		n, from = copy(head, begun), br
	}
	if !Detect(head[:n]) {
		return struct {
			io.Reader
			io.Closer
		}{from, src}, nil
	}
	t, err := Open(ctx, from, opts)
	if err != nil {
		return nil, err
	}
	closeCopy := t.src.close
	t.src.close = func() error { return errors.Join(closeCopy(), src.Close()) }
	return t, nil
}

// Table is a Parquet file as CSV, its header first. It is read by one goroutine and neither
// prints nor marshals.
type Table struct {
	ctx     context.Context // of the one read this serves; io.Reader has no place for it
	src     *place
	file    *file.Reader
	budget  *budget
	columns []cells
	header  []byte
	sign    byte // before the decimals of a number

	group   int   // the next one
	rows    int64 // left of the current group
	text    []byte
	at      int // in text
	cell    []byte
	written int64
	most    int64 // bytes of text
	maxRow  int   // bytes of text
	err     error // ends reading; io.EOF behind the last row
}

// Open opens the Parquet file that src holds, for as long as ctx lives; plain or gzip. An
// *os.File is read where it is, and stays the caller's to close. Of opts it heeds MaxTotal,
// for the file, MaxExpansion, for the text that the file becomes, and MaxRecord, for the text
// of a row, which is 8 MiB by default.
//
// The error is a [*fhir.Problem] if the file is no table that can be read.
func Open(ctx context.Context, src io.Reader, opts fhir.Options) (_ *Table, err error) {
	from, err := placeOf(ctx, src, opts)
	if err != nil {
		if p, ok := fhir.InputProblem(err, 1); ok {
			return nil, p
		}
		return nil, err
	}
	t := &Table{ctx: ctx, src: from, budget: newBudget(), sign: '.', maxRow: cmp.Or(max(opts.MaxRecord, 0), maxRow)}
	t.most = 1<<20 + from.size*int64(cmp.Or(max(opts.MaxExpansion, 0), 200))
	defer func() {
		if p := recover(); p != nil {
			err = t.fault(p)
		}
		if err != nil {
			_ = from.close()
		}
	}()
	if err := t.open(); err != nil {
		return nil, t.fault(err)
	}
	return t, nil
}

func (t *Table) open() error {
	if err := t.checkFooter(); err != nil {
		return err
	}
	props := parquet.NewReaderProperties(t.budget)
	props.BufferedStreamEnabled, props.BufferSize = true, bufferSize
	props.MaxCompressedPageSize, props.MaxUncompressedPageSize = maxPage, maxPage
	var err error
	if t.file, err = file.NewParquetReader(io.NewSectionReader(t.src, 0, t.src.size), file.WithReadProps(props)); err != nil {
		return err
	}
	if t.file.MetaData().IsSetEncryptionAlgorithm() {
		return errEncrypted
	}
	columns := t.file.MetaData().Schema
	if columns.NumColumns() > maxColumns {
		return &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: fmt.Sprintf("a table has at most %d columns", maxColumns)}
	}
	for i := range columns.NumColumns() {
		c := columns.Column(i)
		path := fmt.Sprintf("column[%d]", i+1)
		if len(c.ColumnPath()) != 1 || c.MaxRepetitionLevel() > 0 {
			return &fhir.Problem{Rule: RuleNested, Path: path, Detail: "a list, a map or a group; export its fields as columns, or leave it out"}
		}
		one := cellsOf(c, &t.sign)
		if one == nil {
			return &fhir.Problem{Rule: RuleUnsupported, Path: path, Detail: "its type has no text; export it as text, or leave it out"}
		}
		t.columns = append(t.columns, one)
		if t.header, err = appendCell(t.header, []byte(c.Name()), i, t.maxRow); err != nil {
			return err
		}
	}
	if len(t.columns) == 0 {
		return errCorrupt
	}
	t.header = append(t.header, '\n')
	t.text = bytes.Clone(t.header)
	return nil
}

// checkFooter reads the last bytes before the library does, which takes as much memory as
// they say.
func (t *Table) checkFooter() error {
	var end [8]byte
	if t.src.size < int64(len(end)+len(magic)) {
		return errCorrupt
	}
	if _, err := t.src.ReadAt(end[:], t.src.size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	size := int64(binary.LittleEndian.Uint32(end[:4]))
	switch string(end[4:]) {
	case encrypted:
		return errEncrypted
	case magic:
	default:
		return errCorrupt
	}
	switch {
	case size > t.src.size-int64(len(end)):
		return errCorrupt
	case size > maxFooter:
		return errFooter
	}
	footer := make([]byte, size)
	if _, err := t.src.ReadAt(footer, t.src.size-int64(len(end))-size); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return checkStruct(footer)
}

// Header returns the header as a line of CSV.
func (t *Table) Header() []byte { return bytes.Clone(t.header) }

// Decimal sets what stands before the decimals of numbers that are typed as such, a point
// or a comma. It is a point if it is not set, and is set before the first Read.
func (t *Table) Decimal(sign byte) { t.sign = sign }

// Close releases what the table holds.
func (t *Table) Close() error {
	for _, c := range t.columns {
		c.close()
	}
	t.err = cmp.Or(t.err, error(errCorrupt))
	return t.src.close()
}

// Read implements [io.Reader]. Its error is a [*fhir.Problem] if the rest of the file
// cannot be used.
func (t *Table) Read(p []byte) (int, error) {
	for t.at == len(t.text) {
		if t.err != nil {
			return 0, t.err
		}
		t.text, t.at = t.text[:0], 0
		t.err = t.fill()
	}
	n := copy(p, t.text[t.at:])
	t.at += n
	return n, nil
}

// fill makes the text of the next rows.
func (t *Table) fill() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.fault(p)
		}
	}()
	if err := t.ctx.Err(); err != nil {
		return err
	}
	for len(t.text) < textSize {
		for t.rows == 0 {
			if t.group == t.file.NumRowGroups() {
				return io.EOF
			}
			if err := t.nextGroup(); err != nil {
				return t.fault(err)
			}
		}
		whole := len(t.text)
		if err := t.row(); err != nil {
			t.text = t.text[:whole]
			return t.fault(err)
		}
		t.rows--
	}
	if t.written += int64(len(t.text)); t.written > t.most {
		return errExpansion
	}
	return nil
}

func (t *Table) nextGroup() error {
	group := t.file.RowGroup(t.group)
	t.group++
	if group.NumColumns() != len(t.columns) {
		return errCorrupt
	}
	for i, c := range t.columns {
		chunk, err := group.MetaData().ColumnChunk(i)
		if err != nil {
			return err
		}
		if _, err := compress.GetCodec(chunk.Compression()); err != nil {
			return errCodec
		}
		if err := c.open(group, i, t.budget); err != nil {
			return err
		}
	}
	if t.rows = group.NumRows(); t.rows < 0 {
		return errCorrupt
	}
	return nil
}

// row appends the text of the next row.
func (t *Table) row() (err error) {
	most := len(t.text) + t.maxRow
	for i, c := range t.columns {
		if t.cell, err = c.next(t.cell[:0], t.maxRow); err != nil {
			return err
		}
		if t.text, err = appendCell(t.text, t.cell, i, most); err != nil {
			return err
		}
	}
	t.text = append(t.text, '\n')
	return nil
}

// appendCell appends cell number i of a row by RFC 4180, or returns errRow if dst would then
// have more than most bytes, the end of the row among them.
func appendCell(dst, cell []byte, i, most int) ([]byte, error) {
	quoted := bytes.ContainsAny(cell, "\",\r\n")
	size := min(i, len(",")) + len(cell) + len("\n")
	if quoted {
		size += len(`""`) + bytes.Count(cell, []byte{'"'})
	}
	if len(dst)+size > most {
		return dst, errRow
	}
	dst = slices.Grow(dst, size)
	if i > 0 {
		dst = append(dst, ',')
	}
	if !quoted {
		return append(dst, cell...), nil
	}
	dst = append(dst, '"')
	for _, b := range cell {
		if b == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, b)
	}
	return append(dst, '"'), nil
}

// Format prints a redaction whatever the verb.
func (*Table) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "parquet:redacted") }

// MarshalJSON refuses: patient data leaves through the store only.
func (*Table) MarshalJSON() ([]byte, error) {
	return nil, errors.New("parquet: patient data does not marshal")
}
