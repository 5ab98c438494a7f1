package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/trialmesh/trialmesh/connectors/source/cdisc"
	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/parquet"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

// dataFiles are the names of the files that a folder stands for.
const dataFiles = "*.json, *.ndjson, *.jsonl, *.hl7, *.xml, *.xpt and *.dsjc, and tables (*.csv, *.tsv, *.txt, *.parquet), plain or .gz"

var (
	dataFile  = regexp.MustCompile(`(?i)\.(json|ndjson|jsonl|hl7|xml|xpt|dsjc)(\.gz)?$`)
	tableFile = regexp.MustCompile(`(?i)\.(csv|tsv|txt|parquet)(\.gz)?$`)
)

// expand returns the files that paths stand for, of which none is empty, in the order
// of the stages in which they are loaded, and how many files of folders it left out.
func expand(ctx context.Context, paths []string, mappings *table.Set) (stages [][]string, others int, err error) {
	stages = make([][]string, cdm.Stages)
	for _, path := range paths {
		found := false
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			stage, wanted := stageOf(ctx, name, mappings)
			if name != path && !wanted {
				others++
				return nil
			}
			info, err := d.Info()
			if err == nil && info.Size() == 0 {
				err = fmt.Errorf("%s: the file is empty; nothing was sent", name)
			}
			stages[stage], found = append(stages[stage], name), true
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		if !found {
			return nil, 0, fmt.Errorf("%s: no file to load is there: of a folder the files %s are loaded; name others one by one", path, dataFiles)
		}
	}
	return stages, others, nil
}

// stageOf returns the stage in which a file is loaded, and whether a folder stands for
// it. Rows of tables refer to people and visits that came before.
func stageOf(ctx context.Context, name string, mappings *table.Set) (stage int, wanted bool) {
	if !tableFile.MatchString(name) {
		return stageOfContent(name), dataFile.MatchString(name)
	}
	head, err := headOf(ctx, name)
	if err != nil {
		return cdm.PersonStage, true // sending it will say why
	}
	if t := cdm.Recognize(bytes.NewReader(head)); t != nil {
		return t.Stage(), t.Kind == cdm.Stored
	}
	if m, err := mappings.Detect(head); err == nil && m != nil {
		return cdm.PersonStage + m.Stage(), true
	}
	if stage, ok := cdisc.Stage(head); ok {
		return cdm.PersonStage + stage, true
	}
	return cdm.Stages - 1, false
}

// headOf returns the beginning of a table, which holds its header; of a Parquet file as CSV.
func headOf(ctx context.Context, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	src, err := parquet.Text(ctx, f, fhir.Options{})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	defer src.Close()
	if t, ok := src.(*parquet.Table); ok {
		return t.Header(), nil
	}
	return io.ReadAll(io.LimitReader(src, table.HeadSize))
}

var (
	linesFile    = regexp.MustCompile(`(?i)\.(ndjson|jsonl)(\.gz)?$`)
	resourceType = regexp.MustCompile(`"resourceType"\s*:\s*"(\w+)"`)
)

// stageOfContent looks at the beginning of a file that is no table: a data set of CDISC, or
// the first resource of an NDJSON file, as those of a bulk export hold one type each.
func stageOfContent(name string) int {
	f, err := os.Open(name)
	if err != nil {
		return cdm.PersonStage
	}
	defer f.Close()
	var r io.Reader = f
	if zipped, err := gzip.NewReader(f); err == nil {
		r = zipped
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return cdm.PersonStage
	}
	head := make([]byte, 4096)
	n, _ := io.ReadFull(r, head) // a shorter file will do
	if stage, ok := cdisc.Stage(head[:n]); ok {
		return cdm.PersonStage + stage
	}
	found := resourceType.FindSubmatch(head[:n])
	if !linesFile.MatchString(name) || found == nil {
		return cdm.PersonStage
	}
	switch string(found[1]) {
	case "Location", "Organization":
		return cdm.PersonStage - 1
	case "Patient", "PractitionerRole":
		return cdm.PersonStage
	case "Encounter":
		return cdm.PersonStage + 1
	}
	return cdm.Stages - 1
}
