package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// maxDamage is how many damages a report lists before the check ends early.
const maxDamage = 1000

// Damage is one place of the log that is not what the signed checkpoint says.
type Damage struct {
	Path   string // the file
	Entry  int64  // index of the entry concerned, -1 if it is not about one
	Offset int64  // first byte concerned
	Length int64  // bytes concerned, 0 if it is about the whole file
	Reason string
}

func (d Damage) String() string {
	s := d.Path
	if d.Entry >= 0 {
		s += fmt.Sprintf(", entry %d", d.Entry)
	}
	if d.Length > 0 {
		s += fmt.Sprintf(", bytes %d to %d", d.Offset, d.Offset+d.Length-1)
	}
	return s + ": " + d.Reason
}

// Report says what [Verify] checked and found.
type Report struct {
	Checkpoint cosign.Signed      // zero if it could not be verified
	Earlier    *cosign.Checkpoint // the checkpoint of cosign.Trust.Earlier, if it is the beginning of this log
	Entries    int64              // entries read and hashed
	Files      int64              // tiles and bundles read and compared
	Damage     []Damage           // empty for a sound log
	Truncated  bool               // there may be more damage than listed
}

// Verify reads every file of a log's present checkpoint and checks everything that
// can be checked from public data: the signatures, that the entries hash to the
// signed root, that every tile follows from the entries, and that the log still
// begins with trust.Earlier.
//
// It returns nil only for a sound log. [ErrDamaged] means that the report lists
// what is wrong, each file, entry and byte range by name; *[ForkError] that the
// files are sound but contradict the earlier checkpoint; any other error that the
// check could not be made.
//
// It reads each file once, or again where it looks for damage, and keeps 32 bytes
// for 256 entries in memory.
func Verify(ctx context.Context, src Source, trust cosign.Trust) (Report, error) {
	var report Report
	var earlier cosign.Signed
	if err := trust.Validate(); err != nil {
		return report, err
	}
	if len(trust.Earlier) > 0 {
		var err error
		if earlier, err = trust.Open(trust.Earlier); err != nil {
			return report, fmt.Errorf("earlier checkpoint: %w", err)
		}
	}
	view, err := Open(ctx, src, trust)
	if errors.Is(err, cosign.ErrUntrusted) || errors.Is(err, ErrNotFound) {
		report.Damage = []Damage{{Path: checkpointPath, Entry: -1, Reason: err.Error()}}
		return report, report.err()
	}
	if err != nil {
		return report, err
	}
	report.Checkpoint = view.Checkpoint()

	s := &scan{src: src, checkpoint: report.Checkpoint.Checkpoint, report: &report, suspect: make(map[tlog.Tile]bool)}
	root, err := s.run(ctx)
	if err != nil {
		return report, err
	}
	switch {
	case len(s.suspect) > maxDamage:
		s.list()
		return report, report.err()
	case len(s.suspect) > 0 || root != s.checkpoint.Root:
		if err := s.locate(ctx); err != nil {
			return report, err
		}
		return report, report.err()
	case earlier.Note == nil:
		return report, nil
	}
	if err := view.Extends(ctx, earlier.Checkpoint); err != nil {
		var fork *ForkError
		if errors.As(err, &fork) {
			fork.EarlierNote = earlier.Note
		}
		return report, err
	}
	report.Earlier = &earlier.Checkpoint
	return report, nil
}

// err returns the error for the damage found.
func (r *Report) err() error {
	switch len(r.Damage) {
	case 0:
		// Something differed while scanning and did not when read again.
		return fmt.Errorf("ledger: %w: files changed while they were read", ErrDamaged)
	case 1:
		return fmt.Errorf("ledger: %w: %s", ErrDamaged, r.Damage[0])
	default:
		return fmt.Errorf("ledger: %w in %d places, the first: %s", ErrDamaged, len(r.Damage), r.Damage[0])
	}
}

// scan recomputes the tree from the entries alone and notes which files differ.
type scan struct {
	src        Source
	checkpoint cosign.Checkpoint
	report     *Report

	// computed[l] are the hashes of tile level l as they follow from the
	// entries, for l >= 1. Those of level 0 are too many to keep.
	computed [][]Hash

	suspect map[tlog.Tile]bool // tiles that differ from what follows from the entries
}

// run reads everything and returns the root that follows from the entries. It ends
// early when more tiles are suspect than a report lists: a false size in a
// checkpoint must not keep a reader busy for ever.
func (s *scan) run(ctx context.Context) (Hash, error) {
	size := s.checkpoint.Size
	s.computed = [][]Hash{nil}
	var edge [][]Hash // computed hashes of the last tile of each level
	for level := 0; level == 0 || level < len(s.computed); level++ {
		edge = append(edge, nil)
		for n := int64(0); widthIn(size, level, n) > 0; n++ {
			if len(s.suspect) > maxDamage {
				return Hash{}, nil
			}
			t := hashTile(level, n, widthIn(size, level, n))
			hashes, err := s.expect(ctx, t)
			if err != nil {
				return Hash{}, err
			}
			if err := s.compare(ctx, t, hashes); err != nil {
				return Hash{}, err
			}
			if t.W < tileWidth {
				edge[level] = hashes
				continue
			}
			if level+1 == len(s.computed) {
				s.computed = append(s.computed, nil)
			}
			s.computed[level+1] = append(s.computed[level+1], fold(hashes))
		}
	}
	return fold(edge...), nil
}

// expect returns the hashes of a tile as they follow from the entries. A hash that
// does not follow, because its entry cannot be read, is zero.
func (s *scan) expect(ctx context.Context, t tlog.Tile) ([]Hash, error) {
	if t.L > 0 {
		first := t.N * tileWidth
		return s.computed[t.L][first : first+int64(t.W)], nil
	}
	b, err := s.readBundle(ctx, t)
	if err != nil {
		return nil, err
	}
	s.report.Entries += int64(len(b.entries))
	if b.damage != nil {
		s.suspect[t] = true
	} else {
		s.report.Files++
	}
	return b.hashes(t.W), nil
}

// compare reads a tile and notes it if it differs from the hashes expected.
func (s *scan) compare(ctx context.Context, t tlog.Tile, want []Hash) error {
	stored, damage, err := s.readTile(ctx, t)
	if err != nil {
		return err
	}
	if damage != nil {
		s.suspect[t] = true
		return nil
	}
	s.report.Files++
	for i, h := range stored {
		if h != want[i] {
			s.suspect[t] = true
			break
		}
	}
	return nil
}

// readTile returns the hashes in a tile, or what is wrong with the file.
func (s *scan) readTile(ctx context.Context, t tlog.Tile) ([]Hash, *Damage, error) {
	path := tilePath(t)
	data, err := s.src.Read(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return nil, &Damage{Path: path, Entry: -1, Reason: "missing"}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	hashes, err := hashesOf(data, t.W)
	if err != nil {
		return nil, &Damage{Path: path, Entry: -1, Reason: err.Error()}, nil
	}
	return hashes, nil, nil
}

// bundleFile is an entry bundle as read.
type bundleFile struct {
	path    string
	size    int64
	entries [][]byte
	damage  *Damage // what is wrong with the file as a whole
}

// hashes returns the hash of each entry, zero where there is none.
func (b bundleFile) hashes(width int) []Hash {
	hashes := make([]Hash, width)
	for i, entry := range b.entries {
		hashes[i] = tlog.RecordHash(entry)
	}
	return hashes
}

// readBundle reads the bundle with the entries of a tile of level 0.
func (s *scan) readBundle(ctx context.Context, t tlog.Tile) (bundleFile, error) {
	b := bundleFile{path: tilePath(hashTile(bundleLevel, t.N, t.W))}
	data, err := s.src.Read(ctx, b.path)
	if errors.Is(err, ErrNotFound) {
		b.damage = &Damage{Path: b.path, Entry: -1, Reason: "missing"}
		return b, nil
	}
	if err != nil {
		return b, err
	}
	b.size = int64(len(data))
	b.entries, err = splitBundle(data, t.W)
	if err != nil {
		b.damage = &Damage{Path: b.path, Entry: -1, Reason: err.Error()}
	}
	return b, nil
}
