package series

import "container/heap"

// queue gives the runs of several blocks in the order of their keys, those of one
// key in the order of their loads. It holds the blocks, but not their runs.
type queue struct{ fronts []front }

// front is the next run of a block.
type front struct {
	run   run
	block *blockReader
}

// add puts the runs of a block in.
func (q *queue) add(b *blockReader) error {
	r, ok := b.next()
	if ok {
		heap.Push(q, front{r, b})
	}
	return b.err()
}

// series adds the points of the next series to dst, in the order of the loads.
// There is a next one.
func (q *queue) series(dst []Point) (key, []Point, error) {
	k := q.fronts[0].run.key
	for len(q.fronts) > 0 && q.fronts[0].run.key == k {
		f := &q.fronts[0]
		var err error
		if dst, err = f.run.points(dst); err != nil {
			return k, nil, err
		}
		var more bool
		if f.run, more = f.block.next(); more {
			heap.Fix(q, 0)
			continue
		}
		if err := f.block.err(); err != nil {
			return k, nil, err
		}
		heap.Pop(q)
	}
	return k, dst, nil
}

// Len, Less, Swap, Push and Pop are those of [heap.Interface].
func (q *queue) Len() int { return len(q.fronts) }

func (q *queue) Less(i, j int) bool {
	a, b := &q.fronts[i].run, &q.fronts[j].run
	if c := a.key.compare(b.key); c != 0 {
		return c < 0
	}
	return a.load < b.load
}

func (q *queue) Swap(i, j int) { q.fronts[i], q.fronts[j] = q.fronts[j], q.fronts[i] }

func (q *queue) Push(x any) { q.fronts = append(q.fronts, x.(front)) }

func (q *queue) Pop() any {
	last := len(q.fronts) - 1
	f := q.fronts[last]
	q.fronts[last] = front{}
	q.fronts = q.fronts[:last]
	return f
}
