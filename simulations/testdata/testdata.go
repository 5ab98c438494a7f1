// Package testdata holds the demo's three hospitals: 266 synthetic patients as FHIR R4
// bundles, a vocabulary that is just large enough for their codes, and totals counted by others.
//
// Start from [Hospitals] and [Hospital.Extract]; [ExtractVocabulary] writes the
// vocabulary in Athena's layout, and [Expected] returns the totals. It is test and demo data
// only (ORIGIN.md has origin, licences and terms), and no product code imports it.
package testdata

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:embed synthea/*.tar.zst synthea/expected.json synthea/manifest.csv vocabulary/*.csv.gz
var files embed.FS

// maxFile bounds one file of an archive; the largest bundle has 4 MB.
const maxFile = 64 << 20

// Hospital is one site of the demo.
type Hospital struct {
	Name     string // harbor, meadow or summit
	Patients int
}

// Hospitals returns the sites in order of name.
func Hospitals() []Hospital {
	return []Hospital{{"harbor", 88}, {"meadow", 89}, {"summit", 89}}
}

// File is one FHIR bundle. Data is the caller's to keep.
type File struct {
	Name string
	Data []byte
}

// Infrastructure reports whether f holds organizations or practitioners rather than a patient.
func (f File) Infrastructure() bool {
	return strings.HasPrefix(f.Name, "hospitalInformation") || strings.HasPrefix(f.Name, "practitionerInformation")
}

// Files yields the hospital's bundles in order of name. An error is the last thing yielded.
func (h Hospital) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		if err := h.each(ctx, func(f File) bool { return yield(f, nil) }); err != nil {
			yield(File{}, fmt.Errorf("testdata: hospital %s: %w", h.Name, err))
		}
	}
}

func (h Hospital) each(ctx context.Context, visit func(File) bool) error {
	packed, err := files.ReadFile("synthea/" + h.Name + ".tar.zst")
	if err != nil {
		return err
	}
	zr, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return err
	}
	defer zr.Close()
	for tr := tar.NewReader(zr); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Size > maxFile || filepath.Base(header.Name) != header.Name {
			return fmt.Errorf("unexpected archive entry of %d bytes", header.Size)
		}
		data := make([]byte, header.Size)
		if _, err := io.ReadFull(tr, data); err != nil {
			return err
		}
		if !visit(File{Name: header.Name, Data: data}) {
			return nil
		}
	}
}

// Extract writes the hospital's bundles into dir, which it makes if need be, and
// returns their paths in the order in which they are to be loaded: organizations,
// practitioners, patients. A file is complete or absent, so an interrupted call can be repeated.
func (h Hospital) Extract(ctx context.Context, dir string) ([]string, error) {
	root, err := openDir(dir)
	if err != nil {
		return nil, fmt.Errorf("testdata: extract %s: %w", h.Name, err)
	}
	defer root.Close()
	var first, patients []string
	for f, err := range h.Files(ctx) {
		if err != nil {
			return nil, err
		}
		if err := write(root, f.Name, f.Data); err != nil {
			return nil, fmt.Errorf("testdata: extract %s: %w", h.Name, err)
		}
		path := filepath.Join(dir, f.Name)
		if f.Infrastructure() {
			first = append(first, path) // hospitals sort before practitioners
		} else {
			patients = append(patients, path)
		}
	}
	return append(first, patients...), nil
}

// ExtractVocabulary writes CONCEPT.csv.gz, CONCEPT_RELATIONSHIP.csv.gz and
// VOCABULARY.csv.gz into dir, which it makes if need be.
func ExtractVocabulary(dir string) error {
	root, err := openDir(dir)
	if err != nil {
		return fmt.Errorf("testdata: extract vocabulary: %w", err)
	}
	defer root.Close()
	for _, name := range []string{"CONCEPT.csv.gz", "CONCEPT_RELATIONSHIP.csv.gz", "VOCABULARY.csv.gz"} {
		data, err := files.ReadFile("vocabulary/" + name)
		if err != nil {
			return fmt.Errorf("testdata: extract vocabulary: %w", err)
		}
		if err := write(root, name, data); err != nil {
			return fmt.Errorf("testdata: extract vocabulary: %w", err)
		}
	}
	return nil
}

func openDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// write puts data under name at once. It is not synced: what is lost can be extracted again.
func write(root *os.Root, name string, data []byte) error {
	if err := root.WriteFile(name+".part", data, 0o600); err != nil {
		return err
	}
	return root.Rename(name+".part", name)
}
