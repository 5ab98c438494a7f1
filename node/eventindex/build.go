package eventindex

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	// partPersons is how many persons a segment has after a build: what is sorted at once.
	partPersons = 32 << 10

	// pageRows is how many rows one transaction reads: long ones would keep the store from
	// putting its log away.
	pageRows = 4096

	// workers read and sort; parts is in how many ranges of keys they share a table.
	workers = 2
	ranges  = 64
)

// build makes the index of the whole store and puts it in the place of the one there is.
// The pages that it reads are of different states: whoever changed after the first one is
// read again as by any update, which gives one state in the end.
func (x *Index) build(ctx context.Context) error {
	began := x.cfg.Now()
	x.cfg.Log.InfoContext(ctx, "building the event index")
	m := manifest{Format: format, Next: x.man.Next}
	var err error
	if m.Vocabulary, m.DrugEras, err = x.vocabulary(ctx); err != nil {
		return err
	}
	named := newCare()
	if err := x.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if m.State, err = x.cfg.Store.State(ctx, tx); err != nil {
			return err
		}
		return named.readAll(ctx, tx, x.cfg.Store)
	}); err != nil {
		return err
	}
	b := &building{x: x, care: named, drugs: newDrugs(x.cfg.Vocabulary, m.DrugEras), spills: make([]*spill, len(domains))}
	defer b.close()
	if err := b.readPersons(ctx); err != nil {
		return err
	}
	for i := range domains {
		if domains[i].table == 0 {
			continue
		}
		if err := b.readTable(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", domains[i].name, err)
		}
		x.cfg.Log.InfoContext(ctx, "building the event index", "read", domains[i].table, "rows", b.rows)
	}
	if err := b.writeParts(ctx, &m); err != nil {
		return err
	}
	m.Base = len(m.Segments)
	if err := x.install(m); err != nil {
		return err
	}
	x.cfg.Log.InfoContext(ctx, "event index built", "persons", len(b.persons.id), "rows", b.rows, "dur", x.cfg.Now().Sub(began))
	return nil
}

// building is the state of one build.
type building struct {
	x       *Index
	persons *persons
	finder  finder
	care    *care
	drugs   *drugs
	spills  []*spill // by place in domains

	mu   sync.Mutex
	rows int64
}

func (b *building) close() {
	for _, s := range b.spills {
		if s != nil {
			s.close()
		}
	}
}

// pages gives fn all rows of a table within a range of keys.
func (b *building) pages(ctx context.Context, t omop.Table, after, upto int64, fn func([]omop.Vector) error) error {
	columns := make([]omop.Vector, len(omop.Fields(t)))
	for {
		var read int
		err := b.x.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
			read, after, err = b.x.cfg.Store.Scan(ctx, tx, t, omop.Rows{After: after, Upto: upto, Most: pageRows}, columns)
			return err
		})
		if err != nil {
			return err
		}
		if err := fn(columns); err != nil {
			return err
		}
		if read < pageRows {
			return nil
		}
	}
}

// readPersons reads who there is. Persons who come meanwhile come with the update.
func (b *building) readPersons(ctx context.Context) error {
	all := &persons{columns: make([][]int64, len(personFields))}
	if err := b.pages(ctx, omop.PersonTable, 0, math.MaxInt64, func(scanned []omop.Vector) error {
		all.id = append(all.id, scanned[0].Whole...)
		for c, i := range personAt {
			all.columns[c] = append(all.columns[c], scanned[i].Whole...)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("person: %w", err)
	}
	all.gone = make([]bool, len(all.id))
	b.persons, b.finder = all, newFinder(all.id)
	if err := b.pages(ctx, omop.PeriodTable, 0, math.MaxInt64, func(scanned []omop.Vector) error {
		all.addPeriods(scanned)
		return nil
	}); err != nil {
		return fmt.Errorf("observation_period: %w", err)
	}
	all.sortPeriods()
	return nil
}

// parts is the number of segments.
func (b *building) parts() int { return max(1, (len(b.persons.id)+partPersons-1)/partPersons) }

// readTable brings the rows of a table into parts.
func (b *building) readTable(ctx context.Context, place int) error {
	t := domains[place].table
	var low, high int64
	err := b.x.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		low, high, err = b.x.cfg.Store.Ends(ctx, tx, t)
		return err
	})
	if err != nil {
		return err
	}
	out, err := createSpill(filepath.Join(b.x.cfg.Dir, fmt.Sprintf("rows-%d%s", place, temporary)), b.parts())
	if err != nil {
		return err
	}
	b.spills[place] = out
	width := max((high-low)/ranges+1, pageRows)
	tasks := make(chan int64, ranges)
	for after := low - 1; after < high; after += width {
		tasks <- after
	}
	close(tasks)
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			own := out.buckets()
			for after := range tasks {
				if err := b.pages(ctx, t, after, after+width, func(scanned []omop.Vector) error {
					return b.distribute(own, sources[place].person, scanned)
				}); err != nil {
					return err
				}
			}
			return own.flushAll()
		})
	}
	return group.Wait()
}

// distribute puts rows into the buckets of their persons' parts. Rows of persons who are
// not there belong to nobody, or to someone who came meanwhile.
func (b *building) distribute(own *buckets, person int, scanned []omop.Vector) error {
	n := 0
	for row, id := range scanned[person].Whole {
		at, known := b.finder.find(id)
		if !known {
			continue
		}
		n++
		if err := own.add(at/partPersons, uint32(at%partPersons), scanned, row); err != nil { //nolint:gosec // below partPersons
			return err
		}
	}
	b.mu.Lock()
	b.rows += int64(n)
	b.mu.Unlock()
	return nil
}

// writeParts writes the segments, two at a time.
func (b *building) writeParts(ctx context.Context, m *manifest) error {
	for range b.parts() {
		m.Segments = append(m.Segments, segmentName(m.Next))
		m.Next++
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for part, name := range m.Segments {
		group.Go(func() error {
			low := part * partPersons
			p := b.persons.part(low, min(low+partPersons, len(b.persons.id)))
			return b.x.writeSegment(ctx, name, p, b.drugs, func(place int) (*rows, error) { return b.spills[place].rows(place, part, b.care) })
		})
	}
	return group.Wait()
}

func segmentName(n int) string { return fmt.Sprintf("%s%08d", segmentPrefix, n) }

// writeSegment writes a segment of persons and what load has of them.
func (x *Index) writeSegment(ctx context.Context, name string, p *persons, drugs *drugs, load func(place int) (*rows, error)) error {
	w, err := x.beginSegment(name, p)
	if err != nil {
		return err
	}
	if err := w.writeEvents(ctx, load, func(r *rows) (map[int64][]int64, error) { return drugs.of(ctx, r.concept) }); err != nil {
		return w.abandon(err)
	}
	return x.endSegment(name, w, nil)
}

func (x *Index) beginSegment(name string, p *persons) (*segmentWriter, error) {
	path := filepath.Join(x.cfg.Dir, name) + temporary
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return createSegment(path, p)
}

// endSegment gives a segment its name when all of it is on disk.
func (x *Index) endSegment(name string, w *segmentWriter, err error) error {
	if err != nil {
		return err
	}
	if err := x.step("segment half written"); err != nil {
		return w.abandon(err)
	}
	if err := w.close(); err != nil {
		return err
	}
	if err := x.step("segment written"); err != nil {
		return err
	}
	path := filepath.Join(x.cfg.Dir, name)
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(x.cfg.Dir)
}

// finder finds the places of numbers that are mostly dense.
type finder struct {
	ids   []int64
	shift uint
	from  []uint32 // of those with the same high bits
}

func newFinder(ids []int64) finder {
	f := finder{ids: ids}
	if len(ids) == 0 {
		return f
	}
	for (ids[len(ids)-1]-ids[0])>>f.shift > int64(4*len(ids)) {
		f.shift++
	}
	f.from = make([]uint32, (ids[len(ids)-1]-ids[0])>>f.shift+2)
	next := 0
	for i, id := range ids {
		for slot := int((id - ids[0]) >> f.shift); next <= slot; next++ {
			f.from[next] = uint32(i) //nolint:gosec // persons of a site
		}
	}
	for ; next < len(f.from); next++ {
		f.from[next] = uint32(len(ids)) //nolint:gosec // likewise
	}
	return f
}

func (f *finder) find(id int64) (int, bool) {
	if len(f.ids) == 0 || id < f.ids[0] || id > f.ids[len(f.ids)-1] {
		return 0, false
	}
	slot := (id - f.ids[0]) >> f.shift
	low, high := f.from[slot], f.from[slot+1]
	at, found := slices.BinarySearch(f.ids[low:high], id)
	return int(low) + at, found
}

// drugs remembers the ingredients of drugs. It is safe for concurrent use.
type drugs struct {
	vocabulary Vocabulary // nil if there is no hierarchy
	mu         sync.Mutex
	known      map[int64][]int64
}

func newDrugs(v Vocabulary, hierarchy bool) *drugs {
	if !hierarchy {
		v = nil
	}
	return &drugs{vocabulary: v, known: map[int64][]int64{}}
}

// of returns the ingredients of drugs, nil if nothing says what they are.
func (d *drugs) of(ctx context.Context, concepts []int64) (map[int64][]int64, error) {
	if d.vocabulary == nil {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ask := map[int64]bool{}
	for _, c := range concepts {
		if _, known := d.known[c]; !known {
			ask[c] = true
		}
	}
	if len(ask) > 0 {
		found, err := d.vocabulary.Ingredients(ctx, slices.Sorted(maps.Keys(ask)))
		if err != nil {
			return nil, err
		}
		for c := range ask {
			d.known[c] = found[c]
		}
	}
	return maps.Clone(d.known), nil
}
