package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeIngest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest PATH…",
		Short: "Load files of patient data into the node",
		Long: `Load FHIR R4 bundles and NDJSON, HL7 v2 messages, C-CDA documents, CSV and TSV tables
by the site's mappings (see trialmesh node map), tables of an OMOP CDM, and documents
of observations (see POST /v1/ingest/observations) into the running node, plain or .gz;
the node finds out which a file is. A folder stands for the files in it that are named
*.json, *.ndjson, *.jsonl, *.hl7 or *.xml, and for tables (*.csv, *.tsv, *.txt) that a
mapping is for, or of a CDM those of people; all plain or .gz. Of tables those of
patients are loaded first, then visits, then events. An empty file is an error, and nothing is sent then. Each
file is durable when it is acknowledged; then its job maps and stores it. Loading the same file again changes nothing. The command waits
for the jobs and lists what was not loaded as it is, by file, line, path and rule;
it ends with status 1 if a job failed or nothing of any file could be loaded. While
the node cannot write, for example because its disk is full, the jobs wait and the
command says so. With --timeout or Ctrl-C it stops waiting, also with status 1; the
node does not.`,
		Example: `  trialmesh node ingest --dir node bundles/
  trialmesh node ingest --dir node --timeout 10m bundles/
  trialmesh node ingest --dir node export/*.ndjson --json | tail -1
  trialmesh node ingest --dir node interface.hl7.gz
  trialmesh node ingest --dir node cdm/`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: ingest,
	}
	cmd.Flags().Duration("timeout", 0, "how long to send and to wait, 0 for as long as it takes")
	return addDir(cmd, "node")
}

// outcome is what loading gave, as --json prints it. Of files that were loaded
// before it counts nothing else.
type outcome struct {
	Jobs       []string         `json:"jobs"`
	State      string           `json:"state"`
	Files      int              `json:"files"`
	Before     int              `json:"loadedBefore"`
	Records    int64            `json:"records"`
	Stored     int64            `json:"stored"`
	Duplicates int64            `json:"duplicates"`
	Rejected   int64            `json:"rejected"`
	Unmapped   int64            `json:"unmapped"`
	ByType     map[string]int64 `json:"byType"`
	Findings   map[string]int64 `json:"findings"`
	Problems   []client.Problem `json:"problems"`
}

func ingest(cmd *cobra.Command, args []string) error {
	ctx, begun := cmd.Context(), time.Now()
	timeout, _ := cmd.Flags().GetDuration("timeout")
	if timeout < 0 {
		return usageError{errors.New("--timeout: a duration of 0 or more")}
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := localNode(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	dir, _ := cmd.Flags().GetString("dir")
	mappings, err := node.Mappings(dir)
	if err != nil {
		return err
	}
	stages, others, err := expand(args, mappings)
	if err != nil {
		return err
	}
	out := outcome{State: "completed", ByType: map[string]int64{}, Findings: map[string]int64{}, Problems: []client.Problem{}}
	total := 0
	for _, files := range stages {
		total += len(files)
	}
	if others > 0 {
		newProgress(cmd, 0).say(fmt.Sprintf("left out %d files that are not named "+dataFiles+", or are tables that no mapping of the node is for and no CDM has of people", others))
	}
	rejected := 0
	for _, files := range stages {
		nothing, err := out.load(ctx, cmd, c, files, begun)
		switch {
		case err == nil:
			rejected += nothing
		case ctx.Err() == nil:
			return err
		case len(out.Jobs) < total:
			return fmt.Errorf("%d of %d files were sent; the node goes on with them: see trialmesh node jobs", len(out.Jobs), total)
		default:
			return fmt.Errorf("%d of %d files are loaded; the node goes on with the others: see trialmesh node jobs", out.Files, total)
		}
	}
	if err := out.print(cmd); err != nil {
		return err
	}
	switch {
	case out.State == "failed":
		return errors.New("at least one file was not loaded")
	case rejected == total:
		return errors.New("nothing was loaded: every file was rejected")
	}
	return nil
}

// load sends files, waits for their jobs and returns of how many files nothing could
// be loaded.
func (o *outcome) load(ctx context.Context, cmd *cobra.Command, c *client.Client, files []string, begun time.Time) (rejected int, err error) {
	progress, before := newProgress(cmd, len(files)), len(o.Jobs)
	for _, path := range files {
		id, err := upload(ctx, c, path)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		o.Jobs = append(o.Jobs, id)
		progress.step("sent")
	}
	progress = newProgress(cmd, len(files))
	var held string
	for i, id := range o.Jobs[before:] {
		job, err := c.Watch(ctx, id, func(j client.Job) {
			if j.Held != held {
				progress.say(cmp.Or(j.Held, "the node goes on"))
				held = j.Held
			}
		})
		if err != nil {
			return 0, fmt.Errorf("job %s: %w", id, err)
		}
		// The node keeps the job of content that it has loaded well.
		switch old := job.Ended.Before(begun) && !job.Ended.IsZero(); {
		case old, slices.Contains(o.Jobs[:before+i], id):
			o.Files, o.Before = o.Files+1, o.Before+1
		case job.Rejected > 0 && job.Stored+job.Replaced+job.Duplicates == 0:
			rejected++
			fallthrough
		default:
			o.add(job)
		}
		progress.step("loaded")
	}
	return rejected, nil
}

func (o *outcome) add(j client.Job) {
	o.Files++
	o.Records += j.Records
	o.Stored += j.Stored
	o.Duplicates += j.Duplicates
	o.Rejected += j.Rejected
	o.Unmapped += j.Unmapped
	for t, n := range j.ByType {
		o.ByType[t] += n
	}
	for f, n := range j.Findings {
		o.Findings[f] += n
	}
	o.Problems = append(o.Problems, j.Problems...)
	switch {
	case j.State == "completed", o.State == "failed":
	case j.State == "completed with problems":
		o.State = j.State
	default:
		o.State = "failed"
	}
}

func (o *outcome) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, o)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s\nfiles\t%d\n", o.State, o.Files)
	if o.Before > 0 {
		fmt.Fprintf(w, "loaded before\t%d files\n", o.Before)
	}
	printRows(w, o.Records, o.Stored, o.Duplicates, o.Rejected, o.Unmapped)
	printCounts(w, "records by type", o.ByType)
	printCounts(w, "findings", o.Findings)
	printProblems(w, o.Problems)
	return w.Flush()
}

func printRows(w io.Writer, records, stored, duplicates, rejected, unmapped int64) {
	fmt.Fprintf(w, "records\t%d\nrows stored\t%d\nalready there\t%d\nrejected\t%d\nwithout a standard concept\t%d\n",
		records, stored, duplicates, rejected, unmapped)
}

func printCounts(w io.Writer, title string, by map[string]int64) {
	if len(by) > 0 {
		fmt.Fprintln(w, title)
	}
	for _, t := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(w, "  %s\t%d\n", t, by[t])
	}
}

func printProblems(w io.Writer, list []client.Problem) {
	for _, p := range list {
		fmt.Fprintf(w, "problem\t%s line %d %s\t%s\n", p.File, p.Line, p.Path, p.Rule)
	}
}

func upload(ctx context.Context, c *client.Client, path string) (job string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	u, err := c.Upload(ctx, filepath.Base(path), f)
	return u.Job, err
}

// progress counts on standard error, on one line if that is a terminal.
type progress struct {
	cmd         *cobra.Command
	done, total int
	terminal    bool
	last        time.Time
}

func newProgress(cmd *cobra.Command, total int) *progress {
	p := &progress{cmd: cmd, total: total}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// say puts a sentence on a line of its own.
func (p *progress) say(text string) {
	if p.terminal && p.done > 0 {
		fmt.Fprintln(p.cmd.ErrOrStderr())
	}
	fmt.Fprintln(p.cmd.ErrOrStderr(), text)
}

func (p *progress) step(what string) {
	p.done++
	final := p.done == p.total
	if wait := time.Second / 10; !final && time.Since(p.last) < wait {
		return
	}
	p.last = time.Now()
	switch {
	case p.terminal:
		end := ""
		if final {
			end = "\n"
		}
		fmt.Fprintf(p.cmd.ErrOrStderr(), "\r%s %d of %d files%s", what, p.done, p.total, end)
	case final:
		fmt.Fprintf(p.cmd.ErrOrStderr(), "%s %d files\n", what, p.total)
	}
}
