package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/trialmesh/trialmesh/connectors/source/cdisc"
	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

// dataFiles are the names of the files that a folder stands for.
const dataFiles = "*.json, *.ndjson, *.jsonl, *.hl7, *.xml, *.xpt and *.dsjc, and tables (*.csv, *.tsv, *.txt), plain or .gz"

var (
	dataFile  = regexp.MustCompile(`(?i)\.(json|ndjson|jsonl|hl7|xml|xpt|dsjc)(\.gz)?$`)
	tableFile = regexp.MustCompile(`(?i)\.(csv|tsv|txt)(\.gz)?$`)
)

// expand returns the files that paths stand for, of which none is empty, in the order
// of the stages in which they are loaded, and how many files of folders it left out.
func expand(paths []string, mappings *table.Set) (stages [][]string, others int, err error) {
	stages = make([][]string, 3)
	for _, path := range paths {
		found := false
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			stage, wanted := stageOf(name, mappings)
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
func stageOf(name string, mappings *table.Set) (stage int, wanted bool) {
	if !tableFile.MatchString(name) {
		return stageOfContent(name), dataFile.MatchString(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, true // sending it will say why
	}
	defer f.Close()
	if t := cdm.Recognize(f); t != nil {
		return t.Stage(), t.Kind == cdm.Stored
	}
	head := make([]byte, table.HeadSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF { //nolint:errorlint // ReadAt returns it as it is
		return 0, true
	}
	if m, err := mappings.Detect(head[:n]); err == nil && m != nil {
		return m.Stage(), true
	}
	if stage, ok := cdisc.Stage(head[:n]); ok {
		return stage, true
	}
	return 2, false
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
		return 0
	}
	defer f.Close()
	var r io.Reader = f
	if zipped, err := gzip.NewReader(f); err == nil {
		r = zipped
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0
	}
	head := make([]byte, 4096)
	n, _ := io.ReadFull(r, head) // a shorter file will do
	if stage, ok := cdisc.Stage(head[:n]); ok {
		return stage
	}
	found := resourceType.FindSubmatch(head[:n])
	switch {
	case !linesFile.MatchString(name) || found == nil || string(found[1]) == "Patient":
		return 0
	case string(found[1]) == "Encounter":
		return 1
	}
	return 2
}
