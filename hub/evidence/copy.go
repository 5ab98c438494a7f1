package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A copy is a directory with the files of the log as C2SP tlog-tiles lays them
// out, documents/<digest>.json, and a file "question" if it has only the
// documents of one.
const (
	documentsDir = "documents"
	questionFile = "question"
)

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

// question returns the one question whose documents the copy has.
func (d *Dir) question() (id query.ID, partial bool, err error) {
	raw, err := fs.ReadFile(d.fsys, questionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	if err != nil {
		return id, false, err
	}
	if len(raw) != 2*len(id)+1 || id.UnmarshalText(raw[:2*len(id)]) != nil || string(raw) != id.String()+"\n" {
		return id, true, errors.New("the file does not hold the id of a question")
	}
	return id, true, nil
}

// copyOf returns the question that the source was copied for, if it was.
func (v *verification) copyOf() (query.ID, bool) {
	at, _ := v.src.(pinned)
	dir, isDir := at.Source.(*Dir)
	if !isDir {
		return query.ID{}, false
	}
	id, partial, err := dir.question()
	if err != nil {
		v.report.fail(CheckCopy, questionFile, "%v", err)
	}
	return id, partial
}

// Export writes into dir everything that [VerifyQuery] reads about a question,
// or with a zero id everything that [VerifyLedger] reads, so that it can be
// checked again without the hub. dir must be absent or empty: two exports in one
// would mix two versions of the log. The report is that of the verification made
// on the way: what fails there fails in the copy. The copy is durable when Export
// returns.
func Export(ctx context.Context, src Source, trust Trust, id query.ID, dir string) (Report, error) {
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
	if err := markQuestion(dir, id); err != nil {
		return fail(err)
	}
	if _, err := ledger.Export(ctx, at, dir); err != nil {
		return fail(err)
	}
	to := recorder{at, dir}
	var report Report
	if id.IsZero() {
		report, err = VerifyLedger(ctx, to, trust, "")
	} else {
		report, err = VerifyQuery(ctx, to, trust, "", id)
	}
	if err != nil {
		return report, fmt.Errorf("export evidence: %w", err)
	}
	if err := syncDir(filepath.Join(dir, documentsDir)); err != nil {
		return fail(err)
	}
	return report, nil
}

// markQuestion notes which question a copy is for, nothing for the whole log.
func markQuestion(dir string, id query.ID) error {
	if id.IsZero() {
		return nil
	}
	if err := writeFile(filepath.Join(dir, questionFile), []byte(id.String()+"\n")); err != nil {
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
