package parquet

import (
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// batch is how many values of a column are decoded at once.
const batch = 1024

// cells is a column of a table. open goes to its part of a row group, next appends the
// next cell, nothing for null.
type cells interface {
	open(group *file.RowGroupReader, i int, b *budget) error
	next(dst []byte) ([]byte, error)
	close()
}

// reader is a reader of the library for values of one physical type. What it gives is good
// until it goes to another page.
type reader[T any] interface {
	file.ColumnChunkReader
	ReadBatchInPage(size int64, values []T, definitions, repetitions []int16) (int64, int, error)
}

// column is a column of one physical type.
type column[T any] struct {
	text     func(dst []byte, v T) []byte
	optional bool

	pages  *pages
	reader reader[T]
	values []T
	levels []int16 // 1 for a value, 0 for null
	at     int     // of the next cell in levels, or in values of a column without null
	used   int     // values
	n      int     // cells
}

func newColumn[T any](c *schema.Column, text func(dst []byte, v T) []byte) cells {
	return &column[T]{text: text, optional: c.MaxDefinitionLevel() > 0, values: make([]T, batch), levels: make([]int16, batch)}
}

func (c *column[T]) open(group *file.RowGroupReader, i int, b *budget) error {
	c.close()
	in, err := group.GetColumnPageReader(i)
	if err != nil {
		return err
	}
	c.pages = &pages{PageReader: in, budget: b, required: !c.optional}
	column, err := group.Column(i) // only for its description
	if err != nil {
		return err
	}
	made := file.NewColumnReader(column.Descriptor(), c.pages, b, nil) //nolint:staticcheck // the only way to see pages before they are decoded; the pool is of builders only
	r, ok := made.(reader[T])
	if !ok {
		return errCorrupt
	}
	c.reader, c.at, c.used, c.n = r, 0, 0, 0
	return nil
}

func (c *column[T]) close() {
	if c.reader != nil {
		_ = c.reader.Close() // it only gives memory back
	}
	c.reader = nil
}

func (c *column[T]) next(dst []byte) ([]byte, error) {
	if c.at == c.n {
		if err := c.decode(); err != nil {
			return nil, err
		}
	}
	c.at++
	if c.optional && c.levels[c.at-1] == 0 {
		return dst, nil
	}
	c.used++
	return c.text(dst, c.values[c.used-1]), nil
}

// decode reads the next cells, of one page.
func (c *column[T]) decode() error {
	for !c.reader.HasNext() { // a page may be empty
		if err := c.reader.Err(); err != nil {
			return err
		}
		if c.pages.ended {
			return errCorrupt // fewer than the rows of the group
		}
	}
	n, read, err := c.reader.ReadBatchInPage(c.size(), c.values, c.levels, nil)
	if err != nil {
		return err
	}
	values := int(n)
	if c.optional {
		values = 0
		for _, level := range c.levels[:n] {
			values += int(level)
		}
	}
	if n == 0 || values != read {
		return errCorrupt
	}
	c.at, c.used, c.n = 0, 0, int(n)
	return nil
}

// size is how many values are decoded at once. Text that repeats the beginning of what came
// before may become as long as its page, each.
func (c *column[T]) size() int64 {
	page := c.pages.Page()
	if parquet.Encoding(page.Encoding()) != parquet.Encodings.DeltaByteArray {
		return batch
	}
	return min(batch, max(1, int64(maxPage/max(1, len(page.Data())))))
}
