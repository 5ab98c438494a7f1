package evidence

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Limits of an archive: in bytes its own size, that of its files together and that of the list of
// them, and how many they are. The list is read before they can be counted.
const (
	MaxArchive  = 256 << 20
	maxUnpacked = 1 << 30
	maxFiles    = 100_000
	maxList     = maxFiles * 200
)

var errFiles = fmt.Errorf("the file lists more than %d files, or such with long names, and no evidence does", maxFiles)

// bounded reads no more than so many bytes of an archive, until it is told to read any.
type bounded struct {
	io.ReaderAt
	left int // negative: any
}

// ReadAt takes what is asked for off what is left.
func (b *bounded) ReadAt(p []byte, at int64) (int, error) {
	if b.left >= 0 {
		if len(p) > b.left {
			return 0, errFiles
		}
		b.left -= len(p)
	}
	return b.ReaderAt.ReadAt(p, at)
}

// WriteArchive writes a copy that [Export] made as one zip file, unless [OpenArchive] would
// refuse it for its size. The same copy gives the same bytes.
func WriteArchive(w io.Writer, copied fs.FS) error {
	written := &counter{Writer: w}
	archive := zip.NewWriter(written)
	files, unpacked := 0, int64(0)
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
		n, err := io.Copy(to, from)
		files, unpacked = files+1, unpacked+n
		if files > maxFiles || unpacked > maxUnpacked || written.n > MaxArchive {
			return errLarge
		}
		return err
	})
	if err = errors.Join(err, archive.Close()); err == nil && written.n > MaxArchive {
		err = errLarge
	}
	if err != nil {
		return fmt.Errorf("archive evidence: %w", err)
	}
	return nil
}

var errLarge = fmt.Errorf("the copy is larger than an archive may be (%d files, %d MiB): export it to a folder", maxFiles, MaxArchive>>20)

// counter counts the bytes written.
type counter struct {
	io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

// OpenArchive returns the copy in a zip file, at its top or in its only folder. What the file
// says is not believed; one that unpacks to more than any evidence is refused.
func OpenArchive(r io.ReaderAt, size int64) (*Dir, error) {
	if size > MaxArchive {
		return nil, fmt.Errorf("the file has more than %d MiB, and no evidence has", MaxArchive>>20)
	}
	list := &bounded{r, maxList}
	archive, err := zip.NewReader(list, size)
	switch {
	case errors.Is(err, errFiles) || err == nil && len(archive.File) > maxFiles:
		return nil, errFiles
	case err != nil:
		return nil, errors.New("the file is not a zip file, as trialmesh verify export writes one")
	}
	list.left = -1
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
