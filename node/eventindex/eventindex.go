// Package eventindex keeps the events of a site's people in columns on its disk, as
// package events describes them.
//
// An [Index] is made from the tables of localstore/omop and follows them: [Index.Snapshot]
// first brings it up to date with what was committed, then hands out a [Snapshot], which
// stays the same whatever happens meanwhile. It is never the only copy of anything: what
// is damaged, of another store or of another version is made anew, with a line in the log.
//
// The index is some segments, files that never change, and a manifest that names them. The
// first ones hold all persons as a build found them, each of some ten thousand. An update
// writes those who changed since into one more, whole, and what earlier segments have of
// them is void. Small segments are put together in the background ([Index.Run]).
package eventindex

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Config configures an [Index]. Dir, DB, Store and Vocabulary are required.
type Config struct {
	// Dir is the folder of the index, which is made with mode 0700 if it is missing.
	// Nobody else writes to it.
	Dir string

	DB         *sqldb.DB
	Store      *omop.Store
	Vocabulary Vocabulary

	// Memory is how many bytes the events of one domain may take that a snapshot is asked
	// for at once. Defaults to 2 GiB, some 45 million events.
	Memory int64

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// ErrUnavailable says that the index cannot be brought up to date, so that no question can
// be answered: the operator finds the reason in the node's log.
var ErrUnavailable = problem.New(problem.Unavailable, "the site's event index cannot be brought up to date")

// Index is a site's event index. It is safe for concurrent use.
type Index struct {
	cfg  Config
	turn chan struct{} // held by who builds, updates or installs
	wake chan struct{} // tells Run that a segment came

	making []string // files of a merge, which no manifest names yet; of who has the turn

	harmed atomic.Bool // a snapshot has found the index damaged

	mu       sync.Mutex // guards what follows
	man      manifest
	segments []*segment // of man
	current  *Snapshot  // of man, nil before it is asked for
	phase    string     // what is being done, "" for nothing

	// fault is told of every step, and what it returns ends the step; nil but in tests.
	fault func(step string) error
}

// Open returns the index in cfg.Dir, without asking the store. One that cannot be used is
// no error: it is made anew with the first [Index.Snapshot].
func Open(cfg Config) (*Index, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Memory == 0 {
		cfg.Memory = 2 << 30
	}
	if cfg.Dir == "" || cfg.DB == nil || cfg.Store == nil || cfg.Vocabulary == nil {
		return nil, errors.New("event index: dir, db, store and vocabulary are required")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("event index: %w", err)
	}
	x := &Index{cfg: cfg, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	m, err := readManifest(cfg.Dir)
	if err == nil {
		x.segments, err = openSegments(cfg.Dir, m.Segments)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			cfg.Log.Warn("the event index cannot be used and is made anew", "err", err)
		}
		m = manifest{Next: x.unusedNumber()}
	}
	x.man = m
	if err := x.sweepFolder(m.Segments); err != nil {
		return nil, errors.Join(fmt.Errorf("event index: %w", err), x.Close())
	}
	return x, nil
}

// unusedNumber is a number of segments that no file in the folder has.
func (x *Index) unusedNumber() int {
	for n := 1; ; n++ {
		if _, err := os.Lstat(x.cfg.Dir + "/" + segmentName(n)); errors.Is(err, fs.ErrNotExist) {
			return n
		}
	}
}

func openSegments(folder string, names []string) (list []*segment, err error) {
	for _, name := range names {
		s, err := openSegment(folder, name)
		if err != nil {
			releaseAll(list)
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func releaseAll(list []*segment) {
	for _, s := range list {
		s.release()
	}
}

// Close releases the files. Snapshots that are held stay usable.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	releaseAll(x.segments)
	x.segments = nil
	x.drop()
	return nil
}

// drop forgets the current snapshot. The caller holds mu.
func (x *Index) drop() {
	if x.current != nil {
		x.current.Close()
		x.current = nil
	}
}

// step gives a fault the occasion to happen.
func (x *Index) step(name string) error {
	if x.fault == nil {
		return nil
	}
	return x.fault(name)
}

// take waits for the turn to change the index.
func (x *Index) take(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (x *Index) give() { <-x.turn }

// vocabulary returns the release and whether it has a hierarchy of concepts.
func (x *Index) vocabulary(ctx context.Context) (version string, hierarchy bool, err error) {
	if version, err = x.cfg.Vocabulary.Version(ctx); err != nil {
		return "", false, err
	}
	hierarchy, err = x.cfg.Vocabulary.Hierarchy(ctx)
	return version, hierarchy, err
}

// install makes m what the index is: its segments are on disk. The caller has the turn.
func (x *Index) install(m manifest) error {
	kept := map[string]*segment{}
	for _, s := range x.segments {
		kept[s.name] = s
	}
	var list []*segment
	for _, name := range m.Segments {
		s := kept[name]
		if s == nil {
			var err error
			if s, err = openSegment(x.cfg.Dir, name); err != nil {
				releaseAll(list)
				return err
			}
		} else {
			s.retain()
		}
		list = append(list, s)
	}
	if err := x.writeManifest(m); err != nil {
		releaseAll(list)
		return err
	}
	x.mu.Lock()
	releaseAll(x.segments)
	x.man, x.segments = m, list
	x.drop()
	x.mu.Unlock()
	if err := x.step("installed"); err != nil {
		return err
	}
	return x.sweepFolder(m.Segments)
}

// Discard has the next [Index.Snapshot] make the index anew.
func (x *Index) Discard() { x.harmed.Store(true) }

// Status is what an operator is told of the index.
type Status struct {
	Phase    string `json:"phase"` // building, updating, merging, or current as of the last question
	Segments int    `json:"segments"`
	Persons  int    `json:"persons"` // once for every segment that has them
	Bytes    int64  `json:"bytes"`
}

// Status returns what the index is. It does not look at the store.
func (x *Index) Status() Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := Status{Phase: x.phase, Segments: len(x.segments)}
	if s.Phase == "" {
		s.Phase = "current"
		if x.man.Format == 0 {
			s.Phase = "absent"
		}
	}
	for _, segment := range x.segments {
		s.Persons += segment.dir.Persons
		s.Bytes += segment.size
	}
	return s
}

func (x *Index) enter(phase string) func() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phase = phase
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.phase = ""
	}
}
