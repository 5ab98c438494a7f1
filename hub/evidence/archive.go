package evidence

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Limits of an archive, in bytes: its own size, and that of its files together.
const (
	MaxArchive  = 256 << 20
	maxUnpacked = 1 << 30
)

// WriteArchive writes a copy that [Export] made as one zip file. The same copy gives the same
// bytes.
func WriteArchive(w io.Writer, copied fs.FS) error {
	archive := zip.NewWriter(w)
	err := fs.WalkDir(copied, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		from, err := copied.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate}) // without a time
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return err
	})
	if err = errors.Join(err, archive.Close()); err != nil {
		return fmt.Errorf("archive evidence: %w", err)
	}
	return nil
}

// OpenArchive returns the copy in a zip file, at its top or in its only folder. What the file
// says is not believed; one that unpacks to more than any evidence is refused.
func OpenArchive(r io.ReaderAt, size int64) (*Dir, error) {
	if size > MaxArchive {
		return nil, fmt.Errorf("the file has more than %d MiB, and no evidence has", MaxArchive>>20)
	}
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, errors.New("the file is not a zip file, as trialmesh verify export writes one")
	}
	var unpacked uint64
	root := ""
	for _, f := range archive.File {
		if unpacked += min(f.UncompressedSize64, maxUnpacked+1); unpacked > maxUnpacked {
			return nil, fmt.Errorf("the file unpacks to more than %d MiB, and no evidence does", maxUnpacked>>20)
		}
		if folder, is := strings.CutSuffix(f.Name, "/"+checkpointPath); is && !strings.Contains(folder, "/") {
			root = folder
		}
	}
	if root == "" {
		return NewDir(archive), nil
	}
	inner, err := fs.Sub(archive, root)
	if err != nil {
		return nil, errors.New("the file has a folder whose name is none")
	}
	return NewDir(inner), nil
}
