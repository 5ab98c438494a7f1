package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// A copy is a directory with the files of the log as C2SP tlog-tiles lays them
// out, documents/<digest>.json, and a file that names its [Scope] if it has only
// the documents of one.
const documentsDir = "documents"

// Dir is a copy of a log with documents, as [Export] writes it.
type Dir struct {
	log  ledger.Files
	fsys fs.FS
}

// NewDir returns the copy in a directory tree. Use os.DirFS for one on disk.
func NewDir(fsys fs.FS) *Dir { return &Dir{log: ledger.Dir(fsys), fsys: fsys} }

// Read implements [ledger.Source].
func (d *Dir) Read(ctx context.Context, path string) ([]byte, error) { return d.log.Read(ctx, path) }

// Document implements [Source].
func (d *Dir) Document(_ context.Context, digest message.Digest) ([]byte, error) {
	file, err := d.fsys.Open(documentPath(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", documentPath(digest), ErrNoDocument)
	}
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	defer file.Close()
	return readDocument(digest, file)
}

func documentPath(digest message.Digest) string {
	return documentsDir + "/" + digest.String() + ".json"
}

// Scope returns what the copy was made for, the zero Scope if it is of the whole log. If
// that does not read, the copy still is not whole.
func (d *Dir) Scope() (scope Scope, partial bool, err error) {
	for _, file := range scopeFiles {
		raw, err := d.mark(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Scope{}, true, err
		}
		if scope, err = parseScope(file, raw); err != nil {
			return Scope{}, true, err
		}
		return scope, true, nil
	}
	return Scope{}, false, nil
}

// mark reads a file that names a scope.
func (d *Dir) mark(file string) ([]byte, error) {
	f, err := d.fsys.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMark))
}

// maxMark bounds the file that names a scope, in bytes: the longest has a node's did:key.
const maxMark = 256

// copyOf returns what the source was copied for, if it has not the whole log's documents.
func (v *verification) copyOf() (Scope, bool) {
	at, _ := v.src.(pinned)
	dir, isDir := at.Source.(*Dir)
	if !isDir {
		return Scope{}, false
	}
	scope, partial, err := dir.Scope()
	if err != nil {
		v.report.fail(CheckCopy, "copy", "%v", err)
	}
	return scope, partial
}

// fits checks that a copy has the documents of a scope. The copies of a trial and a node
// have those of the questions in them as well.
func (v *verification) fits(scope Scope) {
	copied, partial := v.copyOf()
	if !partial || copied == scope || !scope.Question.IsZero() && copied.Question.IsZero() {
		return
	}
	v.report.fail(CheckCopy, scope.String(), "this copy was made for another purpose: the file says %s", copied)
}

// Export writes into dir everything that [Verify] reads about a scope, so that it can be
// checked again without the hub. dir must be absent or empty: two exports in one
// would mix two versions of the log. The report is that of the verification made
// on the way: what fails there fails in the copy. The copy is durable when Export
// returns.
func Export(ctx context.Context, src Source, trust Trust, scope Scope, dir string) (Report, error) {
	fail := func(err error) (Report, error) { return Report{}, fmt.Errorf("export evidence: %w", err) }
	switch entries, err := os.ReadDir(dir); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fail(err)
	case len(entries) > 0:
		return fail(fmt.Errorf("%s is not empty: name a new folder", dir))
	}
	at, err := pin(ctx, src)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, documentsDir), 0o755); err != nil {
		return fail(err)
	}
	if err := markScope(dir, scope); err != nil {
		return fail(err)
	}
	if _, err := ledger.Export(ctx, at, dir); err != nil {
		return fail(err)
	}
	report, err := Verify(ctx, recorder{at, dir}, trust, "", scope)
	if err != nil {
		return report, fmt.Errorf("export evidence: %w", err)
	}
	if err := syncDir(filepath.Join(dir, documentsDir)); err != nil {
		return fail(err)
	}
	return report, nil
}

// markScope notes what a copy is for, nothing for the whole log.
func markScope(dir string, scope Scope) error {
	file, text := scope.mark()
	if file == "" {
		return nil
	}
	if err := writeFile(filepath.Join(dir, file), []byte(text+"\n")); err != nil {
		return err
	}
	return syncDir(dir)
}

// recorder keeps every document that is read.
type recorder struct {
	Source
	dir string
}

// Document implements [Source].
func (r recorder) Document(ctx context.Context, digest message.Digest) ([]byte, error) {
	raw, err := r.Source.Document(ctx, digest)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(r.dir, filepath.FromSlash(documentPath(digest)))
	if err := writeFile(path, raw); err != nil {
		return nil, fmt.Errorf("document %s: %w", digest, err)
	}
	return raw, nil
}

// writeFile writes a file so that after a crash it is there whole or not at all.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once renamed, as it should
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// syncDir makes new names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
