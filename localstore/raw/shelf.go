package raw

import (
	"context"
	"io"
	"iter"
	"time"
)

// shelf is where the encrypted files of a store are: a folder or objects. Names
// have slashes. Errors wrap fs.ErrNotExist where something is not there.
type shelf interface {
	// keep makes the finished file from that of the content with digest d, at place. It
	// is durable when keep returns nil; after an error it is there whole or not at all.
	// Unless replace is set, one that another process has kept meanwhile may stay.
	keep(ctx context.Context, from, place string, d Digest, replace bool) error

	// reencrypted exchanges the file of the content with digest d for another of the same
	// content.
	reencrypted(ctx context.Context, from string, d Digest) error

	// confirm makes durable what is there of the content with digest d: whoever put it
	// may have died before it was.
	confirm(ctx context.Context, d Digest) error

	open(ctx context.Context, d Digest) (f io.ReadCloser, size int64, err error)
	digests(ctx context.Context) iter.Seq2[Digest, error]

	// put gives the finished file from a name, durably. Unless replace is set, a name
	// that is taken is fs.ErrExist.
	put(ctx context.Context, from, name string, replace bool) error
	get(ctx context.Context, name string) (f io.ReadCloser, size int64, err error)

	// folders returns the folders in a folder, ascending.
	folders(ctx context.Context, folder string) ([]string, error)

	// list returns the names in a folder, and in those below it, ascending and without the
	// folder's name. They are durable.
	list(ctx context.Context, folder string) ([]string, error)

	// remove removes a folder of names.
	remove(ctx context.Context, folder string) error

	// sweep removes what processes that died before the time until have left, and returns
	// how many files.
	sweep(ctx context.Context, until time.Time) (int64, error)
}
