package bench

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// population is a small CDM whose people are copied until there are enough of them. The
// copies differ by their numbers and by some days, the same ones for all of a person's.
type population struct {
	tables  []peopleTable
	ordinal map[string]int   // of a person_id
	stride  map[string]int64 // by column: how far the numbers of two copies are apart
}

// peopleTable is a table of the small CDM.
type peopleTable struct {
	name   string
	header []string
	rows   [][]string
	person int // column of person_id, -1 for a table of no person
}

// shifts is by how many different numbers of days copies are moved.
const shifts = 61

func readPopulation(files fs.FS, folder string) (*population, error) {
	names, err := fs.Glob(files, path.Join(folder, "*.csv.gz"))
	if err != nil {
		return nil, err
	}
	p := &population{ordinal: map[string]int{}, stride: map[string]int64{}}
	for _, name := range names {
		t, err := readTable(files, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		p.tables = append(p.tables, t)
		if t.person < 0 {
			continue
		}
		if t.name == "person" {
			for i, row := range t.rows {
				p.ordinal[row[t.person]] = i
			}
			continue
		}
		if i := slices.Index(t.header, t.name+"_id"); i >= 0 {
			for _, row := range t.rows {
				n, err := strconv.ParseInt(row[i], 10, 64)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				p.stride[t.header[i]] = max(p.stride[t.header[i]], n+1)
			}
		}
	}
	return p, nil
}

func readTable(files fs.FS, name string) (peopleTable, error) {
	file, err := files.Open(name)
	if err != nil {
		return peopleTable{}, err
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return peopleTable{}, err
	}
	rows, err := csv.NewReader(zipped).ReadAll()
	if err != nil {
		return peopleTable{}, err
	}
	if len(rows) == 0 {
		return peopleTable{}, errors.New("the table has no header")
	}
	return peopleTable{strings.TrimSuffix(path.Base(name), ".csv.gz"), rows[0], rows[1:], slices.Index(rows[0], "person_id")}, nil
}

// write writes a CDM of n people into a folder, a CSV file a table.
func (p *population) write(folder string, n int) error {
	for _, t := range p.tables {
		if err := p.writeTable(filepath.Join(folder, t.name+".csv"), t, n); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}

func (p *population) writeTable(name string, t peopleTable, n int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	to := bufio.NewWriterSize(file, 1<<20)
	out := csv.NewWriter(to)
	_ = out.Write(t.header) // Flush says what failed
	cells := make([]string, len(t.header))
	for at := 0; at < n; at += len(p.ordinal) {
		for _, row := range t.rows {
			if t.person < 0 {
				_ = out.Write(row)
				continue
			}
			if at+p.ordinal[row[t.person]] >= n {
				continue
			}
			if err := p.copyRow(cells, t, row, at/len(p.ordinal)); err != nil {
				return errors.Join(err, file.Close())
			}
			_ = out.Write(cells)
		}
		if t.person < 0 {
			break
		}
	}
	out.Flush()
	return errors.Join(out.Error(), to.Flush(), file.Close())
}

// copyRow fills cells with a row as it is in the given copy.
func (p *population) copyRow(cells []string, t peopleTable, row []string, number int) error {
	copy(cells, row)
	for i, column := range t.header {
		stride := p.stride[column]
		switch {
		case cells[i] == "":
		case i == t.person:
			cells[i] = strconv.Itoa(1 + number*len(p.ordinal) + p.ordinal[row[i]])
		case stride > 0:
			id, err := strconv.ParseInt(cells[i], 10, 64)
			if err != nil {
				return err
			}
			cells[i] = strconv.FormatInt(id+int64(number)*stride, 10)
		case strings.HasSuffix(column, "_date"):
			day, err := time.Parse(time.DateOnly, cells[i])
			if err != nil {
				return err
			}
			cells[i] = day.AddDate(0, 0, number%shifts).Format(time.DateOnly)
		}
	}
	return nil
}
