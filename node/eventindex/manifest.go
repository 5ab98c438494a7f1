package eventindex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// format is the version of the files. Those of another one are not read.
const format = 3

const manifestFile = "manifest"

// manifest says what the index is: it is what changes when the index does.
type manifest struct {
	Format     int        `json:"format"`
	State      omop.State `json:"state"` // of the store
	Vocabulary string     `json:"vocabulary"`
	DrugEras   bool       `json:"drug_eras"` // they could be made
	Next       int        `json:"next"`      // number of the next segment
	Base       int        `json:"base"`      // how many of the segments are of the last build or whole merge
	Segments   []string   `json:"segments"`  // oldest first; what a later one has of a person stands
}

// readManifest returns the manifest of a folder.
func readManifest(folder string) (manifest, error) {
	var m manifest
	raw, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if err != nil {
		return m, err
	}
	line, sum, ok := bytes.Cut(raw, []byte("\n"))
	if !ok || string(sum) != sumOf(line) {
		return m, fmt.Errorf("%w: %s", ErrDamaged, manifestFile)
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestFile, err)
	}
	if m.Format != format {
		return m, fmt.Errorf("event index has format %d, this version writes %d", m.Format, format)
	}
	return m, nil
}

func sumOf(line []byte) string { return fmt.Sprintf("%08x\n", crc32.Checksum(line, checksum)) }

// writeManifest puts m in the place of the manifest. The segments are on disk.
func (x *Index) writeManifest(m manifest) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(x.cfg.Dir, manifestFile)
	f, err := os.OpenFile(path+temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(append(line, '\n'), sumOf(line)...))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := x.step("manifest written"); err != nil {
		return err
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(x.cfg.Dir)
}

// Names of files.
const (
	temporary     = ".tmp"
	segmentPrefix = "segment-"
)

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sweepFolder removes what neither keep nor a merge under way names.
func (x *Index) sweepFolder(keep []string) error {
	list, err := os.ReadDir(x.cfg.Dir)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, name := range slices.Concat(keep, x.making) {
		named[name] = true
	}
	for _, e := range list {
		ours := strings.HasPrefix(e.Name(), segmentPrefix) || strings.HasSuffix(e.Name(), temporary)
		if ours && !named[e.Name()] {
			if err := os.Remove(filepath.Join(x.cfg.Dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
