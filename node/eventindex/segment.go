package eventindex

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

// A segment is a file with some persons and all that is known of them. It begins with
// magic and ends with the directory of its columns, a JSON object, followed by the length
// and the checksum of it, four bytes each, and magic. It never changes.
const magic = "tmev0001"

const footer = 8 + len(magic)

// directory says what a segment has.
type directory struct {
	Persons int     `json:"persons"`
	Low     int64   `json:"low"`  // the first person
	High    int64   `json:"high"` // the last
	Columns []entry `json:"columns"`
}

// segmentWriter writes a segment.
type segmentWriter struct {
	file   *os.File
	out    *bufio.Writer
	offset int64
	dir    directory
}

// createSegment begins the segment at path, which must not be there.
func createSegment(path string, p *persons) (*segmentWriter, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{file: f, out: bufio.NewWriterSize(f, 1<<18), dir: directory{Persons: len(p.id)}}
	if len(p.id) > 0 {
		w.dir.Low, w.dir.High = p.id[0], p.id[len(p.id)-1]
	}
	if _, err := w.out.WriteString(magic); err != nil {
		return nil, w.abandon(err)
	}
	w.offset = int64(len(magic))
	if err := w.persons(p); err != nil {
		return nil, w.abandon(err)
	}
	return w, nil
}

// abandon closes the file and leaves it to be removed.
func (w *segmentWriter) abandon(err error) error {
	_ = w.file.Close()
	return err
}

func (w *segmentWriter) column(name string, kind omop.VectorKind, v *omop.Vector) error {
	e, offset, some, err := writeColumn(w.out, w.offset, name, kind, v)
	if err != nil {
		return err
	}
	w.offset = offset
	if some {
		w.dir.Columns = append(w.dir.Columns, e)
	}
	return nil
}

func (w *segmentWriter) whole(name string, values []int64) error {
	return w.column(name, omop.WholeVector, &omop.Vector{Whole: values})
}

func (w *segmentWriter) persons(p *persons) error {
	if err := w.whole("person_id", p.id); err != nil {
		return err
	}
	gone := slices.Repeat([]int64{events.Null}, len(p.gone))
	for i, is := range p.gone {
		if is {
			gone[i] = 1
		}
	}
	if err := w.whole("gone", gone); err != nil {
		return err
	}
	for i, name := range personFields {
		if err := w.whole(name, p.columns[i]); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		name   string
		values []int64
	}{{"period.of", widen(p.periodOf)}, {"period.start", p.start}, {"period.end", p.end}, {"period.id", p.periodID}, {"period.type", p.typeID}} {
		if err := w.whole(c.name, c.values); err != nil {
			return err
		}
	}
	return nil
}

func widen(values []uint32) []int64 {
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

// rows writes the events of a domain: the concepts that there are and where the events of
// each begin, then the columns in the order of concept, person, start and id.
func (w *segmentWriter) rows(d *domain, r *rows) error {
	if r.len() == 0 {
		return nil
	}
	places := r.order()
	var concepts, from []int64
	for i, p := range places {
		if c := r.concept[p]; i == 0 || c != r.concept[places[i-1]] {
			concepts, from = append(concepts, c), append(from, int64(i))
		}
	}
	// The concept of nothing is Null, which a column that has nothing else would lose.
	name := string(d.name) + "/"
	if concepts[0] == events.Null {
		concepts[0] = -1
	}
	for _, c := range []struct {
		name   string
		values []int64
	}{
		{"concept", concepts},
		{"from", from},
		{"person", widen(gather(r.person, places))},
		{"start", gather(r.start, places)},
		{"end", gather(r.end, places)},
		{"id", gather(r.id, places)},
		{"visit", gather(r.visit, places)},
	} {
		if err := w.whole(name+c.name, c.values); err != nil {
			return err
		}
	}
	for i, a := range d.attributes {
		v := &r.attr[i]
		sorted := omop.Vector{Whole: gather(v.Whole, places), Number: gather(v.Number, places), Text: gather(v.Text, places), Absent: gather(v.Absent, places)}
		if err := w.column(name+string(a.name), a.kind, &sorted); err != nil {
			return err
		}
	}
	return nil
}

// close ends the segment. When it returns nil the file is on disk.
func (w *segmentWriter) close() error {
	dir, err := json.Marshal(w.dir)
	if err != nil {
		return w.abandon(err)
	}
	tail := binary.LittleEndian.AppendUint32(dir, uint32(len(dir))) //nolint:gosec // some kilobytes
	tail = binary.LittleEndian.AppendUint32(tail, crc32.Checksum(dir, checksum))
	if _, err := w.out.Write(append(tail, magic...)); err != nil {
		return w.abandon(err)
	}
	if err := w.out.Flush(); err != nil {
		return w.abandon(err)
	}
	if err := w.file.Sync(); err != nil {
		return w.abandon(err)
	}
	return w.file.Close()
}

// segment is an open segment. Readers hold it with retain and release.
type segment struct {
	name    string
	size    int64
	file    *os.File
	dir     directory
	columns map[string]*column
	holders atomic.Int64

	postings []postings // by place in domains
}

// postings are where the events of each concept are.
type postings struct {
	once     sync.Once
	err      error
	concepts []int64
	from     []int64 // and, at the end, the number of rows
}

// openSegment opens a segment, held once.
func openSegment(folder, name string) (*segment, error) {
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s := &segment{name: name, file: f, columns: map[string]*column{}, postings: make([]postings, len(domains))}
	if err := s.read(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	s.holders.Store(1)
	return s, nil
}

func (s *segment) read() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.size = info.Size()
	head, tail := make([]byte, len(magic)), make([]byte, footer)
	if s.size < int64(len(magic)+footer) {
		return io.ErrUnexpectedEOF
	}
	if _, err := s.file.ReadAt(head, 0); err != nil {
		return err
	}
	if _, err := s.file.ReadAt(tail, s.size-int64(footer)); err != nil {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(tail))
	at := s.size - int64(footer) - length
	if string(head) != magic || string(tail[8:]) != magic || at < int64(len(magic)) {
		return errBlock
	}
	raw := make([]byte, length)
	if _, err := s.file.ReadAt(raw, at); err != nil {
		return err
	}
	if crc32.Checksum(raw, checksum) != binary.LittleEndian.Uint32(tail[4:]) {
		return errBlock
	}
	if err := json.Unmarshal(raw, &s.dir); err != nil {
		return err
	}
	for _, e := range s.dir.Columns {
		s.columns[e.Name] = &column{entry: e, file: s.file}
	}
	return nil
}

func (s *segment) retain() { s.holders.Add(1) }

// release closes the file with the last holder.
func (s *segment) release() {
	if s.holders.Add(-1) == 0 {
		_ = s.file.Close() // it was only read
	}
}

// whole reads all of a column, n values of Null if there is none.
func (s *segment) whole(name string, n int) ([]int64, error) {
	c := s.columns[name]
	if c == nil {
		return slices.Repeat([]int64{events.Null}, n), nil
	}
	values := make([]int64, c.Rows)
	return values, c.whole(0, c.Rows, values)
}

// persons reads those the segment is about.
func (s *segment) persons() (*persons, error) {
	n := s.dir.Persons
	p := &persons{columns: make([][]int64, len(personFields)), gone: make([]bool, n)}
	var err error
	if p.id, err = s.whole("person_id", n); err != nil {
		return nil, err
	}
	gone, err := s.whole("gone", n)
	if err != nil {
		return nil, err
	}
	for i, v := range gone {
		p.gone[i] = v != events.Null
	}
	for i, name := range personFields {
		if p.columns[i], err = s.whole(name, n); err != nil {
			return nil, err
		}
	}
	of, err := s.whole("period.of", 0)
	if err != nil {
		return nil, err
	}
	p.periodOf = make([]uint32, len(of))
	for i, o := range of {
		p.periodOf[i] = uint32(o) //nolint:gosec // an ordinal
	}
	for name, into := range map[string]*[]int64{"period.start": &p.start, "period.end": &p.end, "period.id": &p.periodID, "period.type": &p.typeID} {
		if *into, err = s.whole(name, 0); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// span is the rows of a concept.
type span struct {
	concept  int64
	from, to int
}

// spans returns where the events of concepts are, nil for all, in their order.
func (s *segment) spans(place int, concepts []int64) ([]span, error) {
	p := &s.postings[place]
	p.once.Do(func() { p.err = s.loadPostings(p, string(domains[place].name)+"/") })
	if p.err != nil {
		return nil, p.err
	}
	var out []span
	add := func(i int) {
		out = append(out, span{p.concepts[i], int(p.from[i]), int(p.from[i+1])})
	}
	if concepts == nil {
		for i := range p.concepts {
			add(i)
		}
		return out, nil
	}
	for _, c := range concepts {
		if i, found := slices.BinarySearch(p.concepts, c); found {
			add(i)
		}
	}
	return out, nil
}

func (s *segment) loadPostings(p *postings, name string) (err error) {
	c := s.columns[name+"person"]
	if c == nil {
		return nil
	}
	if p.concepts, err = s.whole(name+"concept", 0); err != nil {
		return err
	}
	if p.from, err = s.whole(name+"from", 0); err != nil {
		return err
	}
	if len(p.from) != len(p.concepts) {
		return fmt.Errorf("%w: %s", ErrDamaged, name)
	}
	p.from = append(p.from, int64(c.Rows))
	if p.concepts[0] == -1 {
		p.concepts[0] = events.Null
	}
	return nil
}
