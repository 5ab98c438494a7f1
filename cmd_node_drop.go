package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

// The folders into which files are put away are named as their outcomes.
const (
	outcomeLoaded = "loaded"
	outcomeFailed = "failed"
)

// ending is what became of a dropped file; it holds no value of a record.
type ending struct {
	File       string           `json:"file"`
	Outcome    string           `json:"outcome"`           // loaded or failed
	MovedTo    string           `json:"movedTo,omitempty"` // path in the folder
	Job        string           `json:"job,omitempty"`
	State      string           `json:"state"` // of the job, or refused
	Error      string           `json:"error,omitempty"`
	Records    int64            `json:"records"`
	Stored     int64            `json:"stored"`
	Replaced   int64            `json:"replaced"`
	Duplicates int64            `json:"duplicates"`
	Rejected   int64            `json:"rejected"`
	Problems   []client.Problem `json:"problems,omitempty"`

	digest string
}

// of takes over how the load of the file ended.
func (e *ending) of(j client.Job) {
	e.State, e.Error, e.Problems = j.State, j.Error, j.Problems
	e.Records, e.Stored, e.Replaced, e.Duplicates, e.Rejected = j.Records, j.Stored, j.Replaced, j.Duplicates, j.Rejected
}

// good reports whether the file, or something of it, is in the store.
func (e *ending) good() bool {
	return e.State == "completed" || e.State == "completed with problems" && (e.Rejected == 0 || e.Stored+e.Replaced+e.Duplicates > 0)
}

func (e *ending) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, e)
	}
	text := e.File + " " + e.Outcome
	if e.Job != "" {
		text += fmt.Sprintf(": job %s %s, %d rows stored, %d rejected", e.Job, e.State, e.Stored+e.Replaced, e.Rejected)
	}
	if e.Error != "" {
		text += ": " + e.Error
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// dropFolder is a folder into which others drop files.
type dropFolder struct {
	dir    string
	own    string // folder of what is remembered, in the node's directory
	settle time.Duration
	keep   bool

	seen map[string]sight // by name
	kept *keptFiles       // nil unless keep
}

// dropped is a file that is complete, as it was when it was seen.
type dropped struct {
	name     string
	size     int64
	modified time.Time
}

// sight is since when a file is as it is.
type sight struct {
	dropped
	since time.Time
	later bool // nothing is to be done with it until it changes
}

func openDrop(nodeDir, dir string, keep bool, settle time.Duration) (*dropFolder, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder", dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &dropFolder{dir: dir, own: filepath.Join(nodeDir, "watch", hashName(dir)), settle: settle, keep: keep, seen: make(map[string]sight)}
	if err := os.MkdirAll(d.own, 0o700); err != nil {
		return nil, err
	}
	if keep {
		if d.kept, err = openKept(filepath.Join(d.own, "kept.ndjson")); err != nil {
			return nil, err
		}
		return d, nil
	}
	for _, outcome := range []string{outcomeLoaded, outcomeFailed} {
		if err := os.MkdirAll(filepath.Join(dir, outcome), 0o750); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *dropFolder) close() {
	if d.kept != nil {
		d.kept.close()
	}
}

func (d *dropFolder) path(name string) string { return filepath.Join(d.dir, name) }

// ready returns the files that have been as they are for the time to settle.
func (d *dropFolder) ready(now time.Time) ([]dropped, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var list []dropped
	seen := make(map[string]sight, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() || unfinishedName(e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := dropped{e.Name(), info.Size(), info.ModTime()}
		s, known := d.seen[f.name]
		if !known || !s.same(f) {
			s = sight{dropped: f, since: now}
		}
		seen[f.name] = s
		if s.later || now.Sub(s.since) < d.settle {
			continue
		}
		if d.keep {
			if s.later, err = d.kept.has(d.path(f.name), f); err != nil {
				return nil, err
			}
			seen[f.name] = s
		}
		if !s.later {
			list = append(list, f)
		}
	}
	d.seen = seen
	return list, nil
}

func (f dropped) same(g dropped) bool { return f.size == g.size && f.modified.Equal(g.modified) }

// unfinishedName reports whether a name is one under which files are written.
func unfinishedName(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(name, ".") || strings.HasSuffix(lower, ".part") || strings.HasSuffix(lower, ".tmp")
}

// later leaves a file alone until it changes.
func (d *dropFolder) later(f dropped) {
	s := d.seen[f.name]
	s.later = true
	d.seen[f.name] = s
}

// changed reports whether a file is not as it was, or gone.
func (d *dropFolder) changed(f dropped) (bool, error) {
	info, err := os.Lstat(d.path(f.name))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !f.same(dropped{f.name, info.Size(), info.ModTime()}), err
}

// putAway moves a file to where its outcome belongs, or remembers it.
func (d *dropFolder) putAway(f dropped, e *ending) error {
	e.Outcome = outcomeFailed
	if e.good() {
		e.Outcome = outcomeLoaded
	}
	if d.keep {
		d.later(f)
		return d.kept.add(f, e)
	}
	delete(d.seen, f.name)
	name, err := freeName(filepath.Join(d.dir, e.Outcome), f.name)
	if err != nil {
		return err
	}
	e.MovedTo = filepath.Join(e.Outcome, name)
	to := d.path(e.MovedTo)
	if e.Outcome == outcomeFailed {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetIndent("", "  ")
		if err := enc.Encode(e); err != nil {
			return err
		}
		if err := os.WriteFile(to+".json", text.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return os.Rename(d.path(f.name), to)
}

// freeName returns name, or the first name.1, name.2 and so on, before its first
// dot, which is not there and has no .json beside it. Nothing is ever overwritten:
// one process watches the folder.
func freeName(dir, name string) (string, error) {
	stem, ext := name, ""
	if i := strings.IndexByte(name, '.'); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	for n := 0; ; n++ {
		free := name
		if n > 0 {
			free = stem + "." + strconv.Itoa(n) + ext
		}
		_, err := os.Lstat(filepath.Join(dir, free))
		_, jerr := os.Lstat(filepath.Join(dir, free+".json"))
		switch {
		case errors.Is(err, fs.ErrNotExist) && errors.Is(jerr, fs.ErrNotExist):
			return free, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
}
