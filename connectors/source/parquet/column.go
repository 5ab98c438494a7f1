package parquet

import (
	"cmp"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

const (
	batch     = 1024     // values of a column that are decoded at once
	batches   = 64 << 10 // values of all columns together, so of many columns fewer each
	arenaSize = 1 << 20  // bytes decoded at once, where a value may be longer than what is stored of it
	headers   = 8 << 20  // bytes of the pages' headers of all columns, which hold statistics
)

// cells is a column of a table. open goes to its part of a row group, next appends the
// next cell, nothing for null; its value has at most most bytes.
type cells interface {
	open(group *file.RowGroupReader, i int, b *budget) error
	next(dst []byte, most int) ([]byte, error)
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
	described *schema.Column
	text      func(dst []byte, v T) []byte
	size      func(v T) int // bytes; nil if they are always few
	most      int           // bytes, 0 if only what next is told counts
	optional  bool

	budget *budget // nil if it is not open
	arena  int64   // bytes taken for values that are not in the page
	pages  *pages
	reader reader[T]
	values []T
	levels []int16 // 1 for a value, 0 for null
	at     int     // of the next cell in levels, or in values of a column without null
	used   int     // values
	n      int     // cells
}

func newColumn[T any](c *schema.Column, text func(dst []byte, v T) []byte) *column[T] {
	return &column[T]{described: c, text: text, optional: c.MaxDefinitionLevel() > 0}
}

func (c *column[T]) open(group *file.RowGroupReader, i int, b *budget) error {
	c.close()
	b.take(bufferSize)
	c.budget = b
	in, err := group.GetColumnPageReader(i)
	if err != nil {
		return err
	}
	in.SetMaxPageHeaderSize(max(bufferSize, headers/group.NumColumns()))
	c.pages = &pages{PageReader: in, budget: b, required: !c.optional}
	if c.values == nil {
		n := min(batch, batches/group.NumColumns())
		c.values, c.levels = make([]T, n), make([]int16, n)
	}
	made := file.NewColumnReader(c.described, c.pages, b, nil) //nolint:staticcheck // the only way to see pages before they are decoded; the pool is of builders only
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
	if c.budget != nil {
		clear(c.values)
		c.budget.give(c.arena + bufferSize)
	}
	c.reader, c.budget, c.arena = nil, nil, 0
}

func (c *column[T]) next(dst []byte, most int) ([]byte, error) {
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
	v := c.values[c.used-1]
	if c.size != nil && c.size(v) > cmp.Or(c.most, most) {
		return nil, errRow
	}
	return c.text(dst, v), nil
}

// decode reads the next cells, of one page.
func (c *column[T]) decode() error {
	clear(c.values[:c.n]) // they would keep in memory what is behind them

	for !c.reader.HasNext() { // a page may be empty
		if err := c.reader.Err(); err != nil {
			return err
		}
		if c.pages.ended {
			return errCorrupt // fewer than the rows of the group
		}
	}
	size := c.reserve()
	n, read, err := c.reader.ReadBatchInPage(size, c.values, c.levels, nil)
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

// reserve returns how many values are decoded at once and takes the memory that the library
// may take for them. Text that repeats the beginning of what came before may become as long
// as its page, each; streams that were split are put together again.
func (c *column[T]) reserve() int64 {
	size := int64(len(c.values))
	page := c.pages.Page()
	stored := int64(len(page.Data()))
	switch encoding := parquet.Encoding(page.Encoding()); {
	case encoding == parquet.Encodings.DeltaByteArray:
		size = min(size, max(1, arenaSize/max(1, stored)))
		c.hold(2 * size * stored) // the next ones may begin in these
	case encoding == parquet.Encodings.ByteStreamSplit && c.size != nil:
		c.hold(stored)
	default:
		c.hold(0)
	}
	return size
}

// hold takes n bytes of the budget for the values that are decoded, instead of those before.
func (c *column[T]) hold(n int64) {
	c.budget.give(c.arena)
	c.arena = n
	c.budget.take(n)
}
