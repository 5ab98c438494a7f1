package raw

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
)

// ErrOffset says that what was brought does not begin where the content ends that
// is there: ask for [Partial.Size] and go on from it.
var ErrOffset = errors.New("the offset is not where the content ends")

// maxPart is how much content one part holds, in bytes: as much is lost at most of
// what a process has not acknowledged when it dies.
const maxPart = 32 << 20

// PartialID names a [Partial]. It should be random.
type PartialID [16]byte

// String returns 32 hexadecimal digits.
func (id PartialID) String() string { return hex.EncodeToString(id[:]) }

// ParsePartialID reads 32 lower-case hexadecimal digits.
func ParsePartialID(s string) (PartialID, error) {
	var id PartialID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return PartialID{}, errors.New("raw: the id of a partial file has 32 hexadecimal digits")
	}
	return PartialID(b), nil
}

// Partial is content that comes bit by bit, until it is whole and goes through
// [Store.Put]. Each part is a file of its own, encrypted and bound to its place; its
// name says where it begins and how long it is, and is given when its content is
// durable. There is no other record of how much has come, so none can be wrong.
//
// One caller at a time may use a Partial, but for Size, which is safe at any time.
type Partial struct {
	store *Store
	id    PartialID
}

// Partial returns the content of an id, which is empty before the first Append.
func (s *Store) Partial(id PartialID) *Partial { return &Partial{s, id} }

// partialFolder is the folder with one folder for each partial file.
const partialFolder = "partial"

// Partials returns the ids of which something is there, in no order.
func (s *Store) Partials(ctx context.Context) ([]PartialID, error) {
	names, err := s.files.folders(ctx, partialFolder)
	if err != nil {
		return nil, fmt.Errorf("raw: partial files: %w", err)
	}
	var ids []PartialID
	for _, name := range names {
		if id, err := ParsePartialID(name); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (p *Partial) folder() string { return path.Join(partialFolder, p.id.String()) }

// Size returns how many bytes have come, 0 for an id that is not known. They are
// durable.
func (p *Partial) Size(ctx context.Context) (int64, error) {
	list, err := p.parts(ctx)
	if err != nil {
		return 0, fmt.Errorf("raw: partial file %s: %w", p.id, full(err))
	}
	return end(list), nil
}

// Append keeps what r gives until its end behind what is there, at most limit bytes,
// and returns how many it kept. They are durable, also if it returns an error: of r
// or of ctx, and then what came before is kept; [ErrOffset] if offset is not where
// the content ends; [ErrTooLarge], and then the last part is not kept; sqldb.ErrFull.
func (p *Partial) Append(ctx context.Context, offset int64, r io.Reader, limit int64) (n int64, err error) {
	size, err := p.Size(ctx)
	if err != nil {
		return 0, err
	}
	if offset != size {
		return 0, fmt.Errorf("raw: partial file %s: %w", p.id, ErrOffset)
	}
	content := bufio.NewReader(reader{ctx, r})
	for {
		switch _, err := content.Peek(1); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, fmt.Errorf("raw: partial file %s: %w", p.id, err)
		}
		// What came is kept, also when whoever sent it has gone.
		got, err := p.add(context.WithoutCancel(ctx), content, offset+n, limit-n)
		n += got
		if err != nil {
			return n, fmt.Errorf("raw: partial file %s: %w", p.id, full(err))
		}
	}
}

// add keeps the next part. It returns the error of r when what came before is kept.
func (p *Partial) add(ctx context.Context, r *bufio.Reader, start, limit int64) (n int64, err error) {
	s := p.store
	f, err := s.disk.create(s.unfinished())
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename

	size := max(min(maxPart, limit), 0)
	source := &cut{r: r}
	_, n, err = s.encryptAt(ctx, p.place(start), f, io.LimitReader(source, size), size)
	if err != nil {
		return 0, err
	}
	if n == limit && source.err == nil {
		if _, err := r.Peek(1); err == nil {
			return 0, fmt.Errorf("%w of %d bytes", ErrTooLarge, start+limit)
		}
	}
	if n == 0 {
		return 0, source.err
	}
	if err := s.files.put(ctx, f.Name(), path.Join(p.folder(), part{start, n}.name()), true); err != nil {
		return 0, err
	}
	return n, source.err
}

// place binds a part to where it belongs, so that none passes for another.
func (p *Partial) place(start int64) []byte {
	return fmt.Appendf(nil, "partial %s from %d", p.id, start)
}

// Remove forgets the content.
func (p *Partial) Remove(ctx context.Context) error {
	if err := p.store.files.remove(ctx, p.folder()); err != nil {
		return fmt.Errorf("raw: partial file %s: %w", p.id, err)
	}
	return nil
}

// part is a piece of content.
type part struct{ start, size int64 }

// name sorts as the start does.
func (p part) name() string { return fmt.Sprintf("%016x-%x", p.start, p.size) }

// parts returns the parts that are there, each beginning where the one before ends. If
// two processes have added to the same end, each without knowing of the other's part,
// they are those that lead farthest: what was told to be there stays.
func (p *Partial) parts(ctx context.Context) ([]part, error) {
	names, err := p.store.files.list(ctx, p.folder())
	if err != nil {
		return nil, err
	}
	all := make([]part, len(names))
	for i, name := range names {
		if _, err := fmt.Sscanf(name, "%x-%x", &all[i].start, &all[i].size); err != nil || all[i].name() != name || all[i].size < 1 {
			return nil, ErrDamaged
		}
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.start, b.start) })
	leads := map[int64]part{0: {}} // to each end that is reached from 0, the last part
	var farthest int64
	for _, next := range all {
		if _, reached := leads[next.start]; !reached {
			return nil, ErrDamaged // what should be before it is not there
		}
		to := next.start + next.size
		leads[to] = next
		farthest = max(farthest, to)
	}
	var list []part
	for at := farthest; at > 0; at = leads[at].start {
		list = append(list, leads[at])
	}
	slices.Reverse(list)
	return list, nil
}

func end(list []part) int64 {
	if len(list) == 0 {
		return 0
	}
	last := list[len(list)-1]
	return last.start + last.size
}

// cut ends where its source fails, and remembers why.
type cut struct {
	r   io.Reader
	err error
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err, err = err, io.EOF
	}
	return n, err
}
