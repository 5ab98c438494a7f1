package approval

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Limits of a bundle.
const (
	maxBundle = 4 << 20 // bytes of all its files together
	maxFiles  = 1000
)

//go:embed policy/default.rego
var standard embed.FS

// bundle is what a policy is made of: Rego modules and data.json files, by path.
type bundle map[string][]byte

// readBundle reads a folder or a gzip-compressed tar archive; "" is the default policy.
func readBundle(at string) (bundle, error) {
	if at == "" {
		return folder(standard)
	}
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(at) // links do not lead out of it
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return folder(root.FS())
	}
	f, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return archive(f)
}

func folder(files fs.FS) (bundle, error) {
	b := make(bundle)
	left := int64(maxBundle)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if wanted, err := wants(name); !wanted || err != nil {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return b.add(name, f, &left)
	})
	return b, err
}

func archive(r io.Reader) (bundle, error) {
	plain, err := gzip.NewReader(r)
	if err != nil {
		return nil, errors.New("neither a folder nor a .tar.gz")
	}
	b := make(bundle)
	left := int64(maxBundle)
	for entries := tar.NewReader(io.LimitReader(plain, 4*maxBundle)); ; {
		h, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, errors.New("the archive is damaged or too large")
		case h.Typeflag != tar.TypeReg:
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		wanted, err := wants(name)
		if err != nil {
			return nil, err
		}
		if wanted {
			if err := b.add(name, entries, &left); err != nil {
				return nil, err
			}
		}
	}
}

// wants reports whether a file of a bundle says something about decisions. Tests
// and the manifest do not; what would, but is not read, is an error.
func wants(name string) (bool, error) {
	switch base := path.Base(name); {
	case strings.HasSuffix(base, "_test.rego"):
		return false, nil
	case base == "data.yaml", base == "data.yml", path.Ext(base) == ".wasm":
		return false, fmt.Errorf("%s: want Rego modules (.rego) and data.json", name)
	default:
		return base == "data.json" || path.Ext(base) == ".rego", nil
	}
}

func (b bundle) add(name string, r io.Reader, left *int64) error {
	if _, twice := b[name]; twice {
		return fmt.Errorf("%s: stands twice", name)
	}
	raw, err := io.ReadAll(io.LimitReader(r, *left+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *left -= int64(len(raw)); *left < 0 || len(b) >= maxFiles {
		return fmt.Errorf("more than %d files or %d bytes", maxFiles, maxBundle)
	}
	b[name] = raw
	return nil
}

// digest names the bundle, whether it came as a folder or as an archive: the
// SHA-256 of the canonical JSON of its files' digests by path.
func (b bundle) digest() (message.Digest, error) {
	files := make(map[string]message.Digest, len(b))
	for name, raw := range b {
		files[name] = message.Sum(raw)
	}
	raw, err := canonical.Marshal(files)
	return message.Sum(raw), err
}

// data returns the document data: what each data.json holds, below the folders
// it lies in.
func (b bundle) data() (map[string]any, error) {
	root := make(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if path.Base(name) != "data.json" {
			continue
		}
		var held map[string]any
		dec := json.NewDecoder(bytes.NewReader(b[name]))
		dec.UseNumber()
		if err := dec.Decode(&held); err != nil {
			return nil, fmt.Errorf("%s: want one JSON object: %w", name, err)
		}
		at := root
		if dir := path.Dir(name); dir != "." {
			for part := range strings.SplitSeq(dir, "/") {
				below, is := at[part].(map[string]any)
				if !is {
					if _, other := at[part]; other {
						return nil, fmt.Errorf("%s: a data.json above gives %s another value", name, part)
					}
					below = make(map[string]any)
					at[part] = below
				}
				at = below
			}
		}
		for key, value := range held {
			if _, twice := at[key]; twice {
				return nil, fmt.Errorf("%s: %s stands twice", name, key)
			}
			at[key] = value
		}
	}
	return root, nil
}
