package parquet

import (
	"encoding/binary"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
)

const (
	maxPage   = 16 << 20 // bytes of a page, uncompressed
	maxDeltas = 4 << 20  // values of a page that is encoded by differences
)

// pages are the pages of a column in a row group. It refuses those of which the library
// would take more memory than they have bytes, as it believes what they claim.
type pages struct {
	file.PageReader
	budget   *budget
	required bool  // the column has no definition levels
	words    int64 // bytes taken for dictionaries
	lengths  int64 // bytes taken for the lengths of the page's values
	err      error
	ended    bool
}

// Next moves to the next page.
func (p *pages) Next() bool {
	p.budget.give(p.lengths)
	p.lengths = 0
	if !p.PageReader.Next() {
		p.ended = true
		return false
	}
	p.err = p.check(p.Page())
	return p.err == nil
}

// Err says why Next returned false, nil at the end.
func (p *pages) Err() error {
	if p.err != nil {
		return p.err
	}
	err := p.PageReader.Err()
	if err != nil && strings.Contains(err.Error(), "exceeds configured limit") { // it has no type
		return errMemory
	}
	return err
}

// GetDictionaryPage returns the dictionary, nil if there is none.
func (p *pages) GetDictionaryPage() (*file.DictionaryPage, error) {
	d, err := p.PageReader.GetDictionaryPage()
	if err != nil || d == nil {
		return d, err
	}
	return d, p.check(d)
}

// Close releases the pages.
func (p *pages) Close() error {
	p.budget.give(p.words + p.lengths)
	p.words, p.lengths = 0, 0
	return p.PageReader.Close()
}

// What the library keeps in memory besides the bytes of a page: slice of a word of a
// dictionary, length of a text of which the beginning or the end is told by its length.
const (
	slice  = 24
	length = 4
)

func (p *pages) check(page file.Page) error {
	if page.Type() == file.PageTypeDictionaryPage {
		if n := int64(page.NumValues()); n <= int64(len(page.Data())) {
			p.words += n * slice
			p.budget.take(n * slice)
			return nil
		}
		return errCorrupt
	}
	values, ok := p.values(page)
	if !ok {
		return errCorrupt
	}
	encoding := parquet.Encoding(page.Encoding())
	switch encoding {
	case parquet.Encodings.DeltaByteArray:
		if values, ok = afterDeltas(values); !ok {
			return errCorrupt
		}
		fallthrough
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray:
		if _, ok = afterDeltas(values); !ok || page.NumValues() > maxDeltas {
			return errCorrupt
		}
		if encoding != parquet.Encodings.DeltaBinaryPacked {
			p.lengths = 2 * length * int64(page.NumValues())
			p.budget.take(p.lengths)
		}
	}
	return nil
}

// values returns the bytes of a page behind its levels.
func (p *pages) values(page file.Page) ([]byte, bool) {
	b := page.Data()
	levels := 0
	switch page := page.(type) {
	case *file.DataPageV1:
		if p.required {
			break
		}
		if len(b) < 4 {
			return nil, false
		}
		levels = 4 + int(binary.LittleEndian.Uint32(b))
	case *file.DataPageV2:
		levels = int(page.DefinitionLevelByteLen()) + int(page.RepetitionLevelByteLen())
	}
	if levels > len(b) {
		return nil, false
	}
	return b[levels:], true
}

// maxBlock is how many values a block of differences may have. Writers have 128 to 4,096.
const maxBlock = 1 << 16

// afterDeltas returns what follows on the differences with which b begins, and whether
// they are as large as they say.
//
// Source: Apache Parquet format, Encodings.md, "Delta Encoding (DELTA_BINARY_PACKED = 5)".
func afterDeltas(b []byte) (rest []byte, ok bool) {
	var header [4]uint64 // values of a block, its parts, values in all, the first one
	for i := range header {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		header[i], b = v, b[n:]
	}
	block, parts, total := header[0], header[1], header[2]
	if block == 0 || block > maxBlock || parts == 0 || parts > block || total > maxDeltas {
		return nil, false
	}
	part := block / parts
	for left := int64(total) - 1; left > 0; {
		_, n := binary.Uvarint(b) // the smallest difference
		if n <= 0 || uint64(len(b)-n) < parts {
			return nil, false
		}
		widths := b[n : n+int(parts)]
		b = b[n+int(parts):]
		for _, width := range widths {
			if left <= 0 {
				break // parts without values are not written
			}
			size := uint64(width) * part / 8
			if width > 64 || size > uint64(len(b)) {
				return nil, false
			}
			b, left = b[size:], left-int64(part)
		}
	}
	return b, true
}
