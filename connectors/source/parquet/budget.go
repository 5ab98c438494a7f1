package parquet

import (
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// maxMemory bounds in bytes what all columns take that are open together: what is read of
// the file, pages, dictionaries, and what is decoded of them.
const maxMemory = 64 << 20

// budget is the library's memory. What is over the limit panics with errMemory, which is
// caught at the door. Buffers are also freed by the garbage collector.
type budget struct {
	memory.Allocator
	used atomic.Int64
}

func newBudget() *budget { return &budget{Allocator: memory.NewGoAllocator()} }

// take counts bytes that the library takes from elsewhere.
func (b *budget) take(n int64) {
	if b.used.Add(n) > maxMemory {
		panic(errMemory)
	}
}

// give gives back what take has counted.
func (b *budget) give(n int64) { b.used.Add(-n) }

// Allocate implements [memory.Allocator].
func (b *budget) Allocate(size int) []byte {
	b.take(int64(size))
	return b.Allocator.Allocate(size)
}

// Reallocate implements [memory.Allocator].
func (b *budget) Reallocate(size int, old []byte) []byte {
	b.take(int64(size - len(old)))
	return b.Allocator.Reallocate(size, old)
}

// Free implements [memory.Allocator].
func (b *budget) Free(old []byte) {
	b.give(int64(len(old)))
	b.Allocator.Free(old)
}
