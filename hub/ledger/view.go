package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// ErrDamaged reports files that do not agree with the signed checkpoint. Nothing
// that depends on them can be believed; [Verify] says which files they are.
var ErrDamaged = errors.New("log is damaged")

// ForkError reports two signed checkpoints of one log that cannot both be true
// of an append-only log: evidence against whoever signed both. Publish them.
type ForkError struct {
	Earlier, Present cosign.Checkpoint

	// The signed notes. EarlierNote is nil if the earlier checkpoint is known in
	// another way, for example from a chain.
	EarlierNote, PresentNote []byte
}

func (e *ForkError) Error() string {
	if e.Present.Size < e.Earlier.Size {
		return fmt.Sprintf("ledger: log shrank: size %d root %s was shown, now size %d root %s",
			e.Earlier.Size, e.Earlier.Root, e.Present.Size, e.Present.Root)
	}
	return fmt.Sprintf("ledger: log forked: size %d root %s is not the beginning of size %d root %s",
		e.Earlier.Size, e.Earlier.Root, e.Present.Size, e.Present.Root)
}

// View is a log as one signed checkpoint fixes it. It reads only the files that a
// question needs and proves every answer against the checkpoint; what does not
// prove fails with [ErrDamaged]. It may be used by several goroutines.
type View struct {
	src    Source
	signed cosign.Signed

	mu     sync.Mutex
	proven map[tlog.Tile][]byte // upper tiles already proven; guarded by mu
}

// Open reads the present checkpoint of a log and checks it against trust, but not
// against trust.Earlier; see [View.Extends].
func Open(ctx context.Context, src Source, trust cosign.Trust) (*View, error) {
	raw, err := src.Read(ctx, checkpointPath)
	if err != nil {
		return nil, err
	}
	signed, err := trust.Open(raw)
	if err != nil {
		return nil, err
	}
	return &View{src: src, signed: signed, proven: make(map[tlog.Tile][]byte)}, nil
}

// Checkpoint returns the verified checkpoint.
func (v *View) Checkpoint() cosign.Signed { return v.signed }

// Entry returns entry i, 0 <= i < Size.
func (v *View) Entry(ctx context.Context, i int64) ([]byte, error) {
	for entry, err := range v.Entries(ctx, i, i+1) {
		return entry, err
	}
	return nil, fmt.Errorf("ledger: entry %d: %w", i, ErrNotFound)
}

// Entries yields the entries from first up to, not including, end, in order. It
// stops at the first that cannot be read or proven and yields the error.
func (v *View) Entries(ctx context.Context, first, end int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if first < 0 || end > v.signed.Size {
			yield(nil, fmt.Errorf("ledger: entries %d to %d of %d: %w", first, end, v.signed.Size, ErrNotFound))
			return
		}
		for at := first; at < end; {
			begin := at / tileWidth * tileWidth
			bundle, err := v.bundle(ctx, begin/tileWidth)
			if err != nil {
				yield(nil, err)
				return
			}
			stop := min(end, begin+tileWidth)
			for _, entry := range bundle[at-begin : stop-begin] {
				if !yield(entry, nil) {
					return
				}
			}
			at = stop
		}
	}
}

// bundle returns all entries of a bundle, proven.
func (v *View) bundle(ctx context.Context, n int64) ([][]byte, error) {
	width := widthIn(v.signed.Size, bundleLevel, n)
	path := tilePath(hashTile(bundleLevel, n, width))
	data, err := v.read(ctx, path)
	if err != nil {
		return nil, err
	}
	entries, err := splitBundle(data, width)
	if err != nil {
		return nil, fmt.Errorf("ledger: %s: %w: %w", path, ErrDamaged, err)
	}
	leaves := make([]int64, width)
	for i := range leaves {
		leaves[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
	}
	hashes, err := v.hashes(ctx).ReadHashes(leaves)
	if err != nil {
		return nil, fmt.Errorf("ledger: prove %s: %w", path, err)
	}
	for i, entry := range entries {
		if tlog.RecordHash(entry) != hashes[i] {
			return nil, fmt.Errorf("ledger: %s: entry %d: %w", path, n*tileWidth+int64(i), ErrDamaged)
		}
	}
	return entries, nil
}

// read returns a file that the checkpoint says is there.
func (v *View) read(ctx context.Context, path string) ([]byte, error) {
	data, err := v.src.Read(ctx, path)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("ledger: %s is missing: %w", path, ErrDamaged)
	}
	return data, err
}

// Extends checks that the log still has everything an earlier checkpoint fixed.
// It fails with a *[ForkError] if it has not. The caller has verified earlier, by
// signature or because it stands on a chain.
func (v *View) Extends(ctx context.Context, earlier cosign.Checkpoint) error {
	present := v.signed.Checkpoint
	if earlier.Origin != present.Origin {
		return fmt.Errorf("ledger: compare checkpoints of %q and %q", earlier.Origin, present.Origin)
	}
	fork := &ForkError{Earlier: earlier, Present: present, PresentNote: v.signed.Note}
	if earlier.Size > present.Size {
		return fork
	}
	root, err := tlog.TreeHash(earlier.Size, v.hashes(ctx))
	if err != nil {
		return fmt.Errorf("ledger: root at size %d: %w", earlier.Size, err)
	}
	if root != earlier.Root {
		return fork
	}
	return nil
}

// ProveGrowth returns what the log had at a smaller size and how it grew from there,
// 1 <= size <= Size.
func (v *View) ProveGrowth(ctx context.Context, size int64) (cosign.Proof, error) {
	root, err := tlog.TreeHash(size, v.hashes(ctx))
	if err != nil {
		return cosign.Proof{}, fmt.Errorf("ledger: root at size %d: %w", size, err)
	}
	path, err := tlog.ProveTree(v.signed.Size, size, v.hashes(ctx))
	if err != nil {
		return cosign.Proof{}, fmt.Errorf("ledger: prove size %d from %d: %w", v.signed.Size, size, err)
	}
	return cosign.Proof{Root: root, Path: path}, nil
}

// Receipt returns the proof that entry i is in the log.
func (v *View) Receipt(ctx context.Context, i int64) (Receipt, error) {
	if i < 0 || i >= v.signed.Size {
		return Receipt{}, fmt.Errorf("ledger: receipt of entry %d of %d: %w", i, v.signed.Size, ErrNotFound)
	}
	path, err := tlog.ProveRecord(v.signed.Size, i, v.hashes(ctx))
	if err != nil {
		return Receipt{}, fmt.Errorf("ledger: receipt of entry %d of %d: %w", i, v.signed.Size, err)
	}
	return Receipt{Index: i, Path: path, Checkpoint: v.signed.Note}, nil
}

// hashes returns the reader of proven hashes for one call.
func (v *View) hashes(ctx context.Context) tlog.HashReader {
	tiles := &tileReader{View: v, ctx: ctx}
	proven := tlog.TileHashReader(tlog.Tree{N: v.signed.Size, Hash: v.signed.Root}, tiles)
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes, err := proven.ReadHashes(indexes)
		if err != nil && tiles.unread == nil { // the tiles came, but do not prove
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return hashes, err
	})
}

// tileReader is a View during one call. The interface of tlog has no place for
// the context, so it travels here.
type tileReader struct {
	*View
	ctx    context.Context
	unread error // why a tile could not be read
}

// Height implements tlog.TileReader.
func (*tileReader) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		r.mu.Lock()
		data[i] = r.proven[t]
		r.mu.Unlock()
		if data[i] != nil {
			continue
		}
		if data[i], r.unread = r.read(r.ctx, tilePath(t)); r.unread != nil {
			return nil, r.unread
		}
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader. Only upper tiles are kept: there is one
// for 65,536 entries and every proof needs them.
func (r *tileReader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, t := range tiles {
		if t.L > 0 {
			r.proven[t] = data[i]
		}
	}
}
