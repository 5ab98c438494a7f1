package memory

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Tables are the tables of a CDM.
type Tables interface {
	// Open returns a table as CSV with a header, of which columns are needed. The caller
	// closes it and then looks at the error of Close. It returns fs.ErrNotExist for a
	// table that is not there.
	Open(ctx context.Context, table string, columns []string) (io.ReadCloser, error)
}

// Folder is a folder with a file for each table: person.csv or person.csv.gz.
type Folder string

// Open implements Tables.
func (f Folder) Open(_ context.Context, table string, _ []string) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(string(f), table+".csv.gz"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(filepath.Join(string(f), table+".csv"))
	}
	if err != nil {
		return nil, err
	}
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s.csv.gz: %w", table, err), file.Close())
	}
	return unzipped{zipped, file}, nil
}

type unzipped struct {
	*gzip.Reader
	file io.Closer
}

func (u unzipped) Close() error { return errors.Join(u.Reader.Close(), u.file.Close()) }

// database is a snapshot of a database.
type database struct {
	visit  *sqldb.Visit
	tables []sqldb.Table
}

// Database returns the tables of a database that is not ours. It is good while the visit lasts.
func Database(ctx context.Context, v *sqldb.Visit) (Tables, error) {
	tables, err := v.Tables(ctx)
	return database{v, tables}, err
}

// Open implements Tables.
func (d database) Open(ctx context.Context, name string, columns []string) (io.ReadCloser, error) {
	for _, t := range d.tables {
		if !strings.EqualFold(t.Name, name) {
			continue
		}
		var fields []sqldb.Field
		for _, wanted := range columns {
			for _, there := range t.Columns {
				if strings.EqualFold(there, wanted) {
					fields = append(fields, sqldb.Field{Name: there, As: wanted, Time: strings.HasSuffix(wanted, "_date")})
					break
				}
			}
		}
		if len(fields) == 0 {
			return nil, fmt.Errorf("table %s has no column of the CDM", t.Name)
		}
		r, w := io.Pipe()
		c := &copied{PipeReader: r, done: make(chan struct{})}
		go func() {
			defer close(c.done)
			_, err := d.visit.CopyCSV(ctx, w, t.Name, fields)
			_ = w.CloseWithError(err) // always nil
		}()
		return c, nil
	}
	return nil, fmt.Errorf("table %s: %w", name, fs.ErrNotExist)
}

// copied is a table on its way out of a database. The snapshot is free again when it is closed.
type copied struct {
	*io.PipeReader
	done chan struct{}
}

func (c *copied) Close() error {
	err := c.PipeReader.Close()
	<-c.done
	return err
}
