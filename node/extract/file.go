package extract

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// file is a table that is being written: CSV whose cells hold nothing to be quoted. Of
// a dry run it only counts.
type file struct {
	Written
	f    *os.File
	out  *bufio.Writer
	sum  hash.Hash
	line []byte
}

// cdmFolder is the folder of the tables in an extract.
const cdmFolder = "cdm"

// newFile begins a table in the folder of an extract, "" for a dry run.
func newFile(folder, table string, columns []string) (*file, error) {
	f := &file{Written: Written{File: cdmFolder + "/" + table + ".csv", Columns: columns}, sum: sha256.New()}
	sink := io.Discard
	if folder != "" {
		var err error
		if f.f, err = os.OpenFile(filepath.Join(folder, cdmFolder, table+".csv"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
		sink = io.MultiWriter(f.f, f.sum)
	}
	f.out = bufio.NewWriterSize(sink, 64<<10)
	f.line = append(f.line, strings.Join(columns, ",")...)
	return f, f.end()
}

// add appends a cell to the row.
func (f *file) add(v any) error {
	if len(f.line) > 0 {
		f.line = append(f.line, ',')
	}
	switch v := v.(type) {
	case nil:
	case int64:
		f.line = strconv.AppendInt(f.line, v, 10)
	case float64:
		f.line = strconv.AppendFloat(f.line, v, 'g', -1, 64)
	case omop.Date:
		f.line = v.Time().AppendFormat(f.line, time.DateOnly)
	case time.Time:
		f.line = v.AppendFormat(f.line, "2006-01-02 15:04:05.999999")
	default:
		return fmt.Errorf("a cell of %s of a type that has no text", f.File)
	}
	return nil
}

// end ends the line.
func (f *file) end() error {
	f.line = append(f.line, '\n')
	n, err := f.out.Write(f.line)
	f.Bytes += int64(n)
	f.line = f.line[:0]
	return err
}

// row writes a row whose first cell is not empty.
func (f *file) row(cells ...any) error {
	for _, c := range cells {
		if err := f.add(c); err != nil {
			return err
		}
	}
	f.Rows++
	return f.end()
}

// finish makes the table durable.
func (f *file) finish() error {
	err := f.out.Flush()
	if f.f == nil {
		return err
	}
	f.SHA256 = hex.EncodeToString(f.sum.Sum(nil))
	return errors.Join(err, f.f.Sync(), f.f.Close())
}
