package raw

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Bucket is an object store as S3 is one. Names have slashes. Errors wrap fs.ErrNotExist
// and fs.ErrExist where that is what they say.
type Bucket interface {
	// Put stores size bytes of content under a name. They are durable when it returns nil.
	// After an error the object is there whole or not at all; if it was there before and
	// replace is not set, the error is fs.ErrExist.
	Put(ctx context.Context, name string, content io.ReaderAt, size int64, replace bool) error

	// Get returns an object and its size. Reading fails if not all of it comes.
	Get(ctx context.Context, name string) (io.ReadCloser, int64, error)

	// List calls each with the objects whose names begin with prefix, ascending, and when
	// they were put. It ends with the first error of each.
	List(ctx context.Context, prefix string, each func(name string, at time.Time) error) error

	// Remove removes objects; those that are not there are no error.
	Remove(ctx context.Context, names ...string) error

	// Abort gives up uploads that began before the time until and did not end.
	Abort(ctx context.Context, until time.Time) error
}

// objects keeps files in a [Bucket]. An object under index has the encrypted digest for
// its name and says where the file of the content is. It comes after the file, so a file
// counts when it has one.
type objects struct {
	store  *Store
	bucket Bucket
	siv    *subtle.AESSIV
}

const indexFolder = "index/"

// maxIndex bounds an entry of the index, in bytes.
const maxIndex = 1024

// away says that the bucket could not do its part, which may pass: jobs wait for it as
// for their database.
type away struct{ error }

func (away) Is(target error) bool { return target == sqldb.ErrUnavailable }

func (a away) Unwrap() error { return a.error }

// passing marks an error of the bucket that may pass.
func passing(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, ErrDamaged) || errors.Is(err, context.Canceled) {
		return err
	}
	return away{err}
}

// body is an object that is being read.
type body struct{ io.ReadCloser }

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = passing(err)
	}
	return n, err
}

// empty refuses a bucket that has files and no secret of names: nothing of what is there
// would be found with a new one.
func (o *objects) empty(ctx context.Context) error {
	return passing(o.bucket.List(ctx, indexFolder, func(string, time.Time) error {
		return fmt.Errorf("the bucket has files, but not the secret of their names: bring the object %s back: %w", secretName, ErrDamaged)
	}))
}

// entry is the name of the index entry of a digest. The encryption is deterministic
// (AES-SIV, RFC 5297): the bucket's owner cannot find out whether content is there that
// he can guess, and the name leads back to the digest.
func (o *objects) entry(d Digest) (string, error) {
	name, err := o.siv.EncryptDeterministically(d[:], nil)
	return indexFolder + hex.EncodeToString(name), err
}

func (o *objects) digest(entry string) (Digest, error) {
	sealed, err := hex.DecodeString(strings.TrimPrefix(entry, indexFolder))
	if err != nil {
		return Digest{}, fmt.Errorf("an entry of the index has no name of one: %w", ErrDamaged)
	}
	d, err := o.siv.DecryptDeterministically(sealed, nil)
	if err != nil || len(d) != len(Digest{}) {
		return Digest{}, fmt.Errorf("an entry of the index is of another store: %w", ErrDamaged)
	}
	return Digest(d), nil
}

// find returns where the file of a digest is.
func (o *objects) find(ctx context.Context, d Digest) (string, error) {
	entry, err := o.entry(d)
	if err != nil {
		return "", err
	}
	f, _, err := o.get(ctx, entry)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if !strings.HasPrefix(string(text), filesFolder+"/") {
		return "", ErrDamaged
	}
	return string(text), nil
}

func (o *objects) keep(ctx context.Context, from, place string, d Digest, replace bool) error {
	if err := o.put(ctx, from, place, true); err != nil {
		return err
	}
	entry, err := o.entry(d)
	if err != nil {
		return err
	}
	err = passing(o.bucket.Put(ctx, entry, strings.NewReader(place), int64(len(place)), replace))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Another process was faster, or this one was and did not hear of it.
	other, err := o.find(ctx, d)
	if err != nil || other == place {
		return err
	}
	f, _, err := o.get(ctx, other)
	if errors.Is(err, fs.ErrNotExist) {
		return passing(o.bucket.Put(ctx, entry, strings.NewReader(place), int64(len(place)), true))
	}
	if err != nil {
		return err
	}
	return f.Close() // what is at place sweep removes
}

func (o *objects) reencrypted(ctx context.Context, from string, d Digest) error {
	place, err := o.find(ctx, d)
	if err != nil {
		return err
	}
	return o.put(ctx, from, place, true)
}

func (o *objects) confirm(context.Context, Digest) error { return nil } // what is read is durable

func (o *objects) open(ctx context.Context, d Digest) (io.ReadCloser, int64, error) {
	place, err := o.find(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	return o.get(ctx, place)
}

// errEnough ends a list.
var errEnough = errors.New("enough")

func (o *objects) digests(ctx context.Context) iter.Seq2[Digest, error] {
	return func(yield func(Digest, error) bool) {
		err := o.bucket.List(ctx, indexFolder, func(name string, _ time.Time) error {
			d, err := o.digest(name)
			if err == nil && !yield(d, nil) {
				err = errEnough
			}
			return err
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(Digest{}, passing(err))
		}
	}
}

func (o *objects) put(ctx context.Context, from, name string, replace bool) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return passing(o.bucket.Put(ctx, name, f, info.Size(), replace))
}

func (o *objects) get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	f, size, err := o.bucket.Get(ctx, name)
	if err != nil {
		return nil, 0, passing(err)
	}
	return body{f}, size, nil
}

func (o *objects) folders(ctx context.Context, folder string) ([]string, error) {
	names, err := o.list(ctx, folder)
	for i, name := range names {
		names[i], _, _ = strings.Cut(name, "/")
	}
	return slices.Compact(names), err
}

func (o *objects) list(ctx context.Context, folder string) ([]string, error) {
	var names []string
	err := o.bucket.List(ctx, folder+"/", func(name string, _ time.Time) error {
		names = append(names, strings.TrimPrefix(name, folder+"/"))
		return nil
	})
	return names, passing(err)
}

func (o *objects) remove(ctx context.Context, folder string) error {
	names, err := o.list(ctx, folder)
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = path.Join(folder, name)
	}
	return passing(o.bucket.Remove(ctx, names...))
}

// sweep removes files that no entry of the index leads to. The names tell which those
// may be, so that few entries are read: it takes about 400 bytes of memory for each file
// and two requests for each thousand.
func (o *objects) sweep(ctx context.Context, until time.Time) (int64, error) {
	if err := o.bucket.Abort(ctx, until); err != nil {
		return 0, err
	}
	files := make(map[string]int) // by UUID
	var old []string
	if err := o.bucket.List(ctx, filesFolder+"/", func(name string, at time.Time) error {
		files[uuidOf(name)]++
		if at.Before(until) {
			old = append(old, name)
		}
		return nil
	}); err != nil || len(old) == 0 {
		return 0, err
	}
	indexed := make(map[string]Digest)
	for d, err := range o.digests(ctx) { // listed after the files: it has an entry for all that count
		if err != nil {
			return 0, err
		}
		indexed[o.store.uuid(d)] = d
	}
	var n int64
	for _, name := range old {
		d, known := indexed[uuidOf(name)]
		if known && files[uuidOf(name)] == 1 {
			continue
		}
		if known {
			if place, err := o.find(ctx, d); err != nil {
				return n, err
			} else if place == name {
				continue
			}
		}
		if err := o.bucket.Remove(ctx, name); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
