package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeIngest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest PATH… | --cdm-database URL",
		Short: "Load files of patient data into the node",
		Long: `Load FHIR R4 bundles and NDJSON, HL7 v2 messages, C-CDA documents, CSV, TSV and Parquet
tables by the site's mappings (see trialmesh node map), tables of an OMOP CDM, data sets of
CDISC (SDTM and ADSL as SAS transport, Dataset-JSON or CSV), and documents of
observations (see POST /v1/ingest/observations) into the running node, plain or .gz;
the node finds out which a file is. A folder stands for the files in it that are named
*.json, *.ndjson, *.jsonl, *.hl7, *.xml, *.xpt or *.dsjc, and for tables (*.csv, *.tsv,
*.txt, *.parquet) that a mapping is for, or of SDTM, or of a CDM those of people; all plain or .gz.
Of tables those of patients are loaded first, then visits, then events. Files with
records of patients who came later are sent a second time. An empty file is an error,
and nothing is sent then.

What a wearable's maker answers does not say whose it is: --patient and --wearable do,
for all files of one command, and --timezone for times without an offset. A document
that says so itself needs no flags.

--cdm-database reads an OMOP CDM, 5.3 or 5.4, from a database in place of files: those of
its tables that a folder would be loaded for, in one snapshot that only reads, copied first
to encrypted files without a name in the folder for temporary files. If that fails nothing
is sent. A password comes from PGPASSWORD, PGPASSFILE or a service file (PGSERVICE), as for
psql, never from the address. The server's certificate is verified, unless it is on this
machine or the address has another sslmode.

Each file is durable when it is acknowledged; then its job maps and stores it. Loading
the same file again changes nothing, and what a later file says stands. The command
waits for the jobs and lists what was not loaded as it is, by file, line, path and
rule; it ends with status 1 if a job failed or nothing of any file could be loaded.
While the node cannot write, for example because its disk is full, the jobs wait and
the command says so. With --timeout or Ctrl-C it stops waiting, also with status 1;
the node does not.`,
		Example: `  trialmesh node ingest --dir node bundles/
  trialmesh node ingest --dir node --timeout 10m bundles/
  trialmesh node ingest --dir node export/*.ndjson --json | tail -1
  trialmesh node ingest --dir node interface.hl7.gz
  trialmesh node ingest --dir node cdm/
  trialmesh node ingest --dir node --cdm-database postgres://reader@db.site/warehouse --cdm-schema cdm
  trialmesh node ingest --dir node --cdm-database sqlite:/srv/cdm.sqlite
  trialmesh node ingest --dir node --patient p-17 --wearable oura sleep.json`,
		Args: args(ingestArgs),
		RunE: ingest,
	}
	addWearable(cmd)
	addCDM(cmd)
	cmd.Flags().Duration("timeout", 0, "how long to send and to wait, 0 for as long as it takes")
	return addDir(cmd, "node")
}

// outcome is what loading gave, as --json prints it. Of files that were loaded
// before it counts nothing else.
type outcome struct {
	Job        string           `json:"job"` // the last one
	Jobs       []string         `json:"jobs"`
	State      string           `json:"state"`
	Files      int              `json:"files"`
	Before     int              `json:"loadedBefore"`
	Records    int64            `json:"records"`
	Stored     int64            `json:"stored"`
	Replaced   int64            `json:"replaced"`
	Duplicates int64            `json:"duplicates"`
	Rejected   int64            `json:"rejected"`
	Unmapped   int64            `json:"unmapped"`
	ByType     map[string]int64 `json:"byType"`
	Findings   map[string]int64 `json:"findings"`
	Problems   []placed         `json:"problems"`
}

func ingest(cmd *cobra.Command, args []string) error {
	ctx, begun := cmd.Context(), time.Now()
	timeout, _ := cmd.Flags().GetDuration("timeout")
	if timeout < 0 {
		return usageError{errors.New("--timeout: a duration of 0 or more")}
	}
	if _, _, err := wearableOf(cmd); err != nil {
		return err
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
	l := &link{cmd: cmd, c: c, patience: returnTime, passes: mayReturn, waits: func(err error) {
		newProgress(cmd, 0).say("waiting for the node: " + err.Error())
	}}
	defer l.close()
	defer l.closeTables()
	stages, err := l.stages(ctx, args)
	if err != nil {
		return err
	}
	loads, err := sendAll(ctx, l, stages, begun)
	if err != nil {
		return err
	}
	out := outcome{State: "completed", ByType: map[string]int64{}, Findings: map[string]int64{}, Problems: []placed{}}
	rejected := 0
	for _, load := range loads {
		out.Job, out.Jobs = load.job.ID, append(out.Jobs, load.job.ID)
		if load.before {
			out.Files, out.Before = out.Files+1, out.Before+1
			continue
		}
		out.add(load.job)
		out.Problems = append(out.Problems, l.problems(load)...)
		if load.job.Rejected > 0 && load.job.Stored+load.job.Replaced+load.job.Duplicates == 0 {
			rejected++
		}
	}
	if err := out.print(cmd); err != nil {
		return err
	}
	switch {
	case out.State == "failed":
		return errors.New("at least one file was not loaded")
	case rejected == len(loads):
		return errors.New("nothing was loaded: every file was rejected")
	}
	return nil
}

// stages are what is sent, in the order in which it is loaded: files, or tables of a
// database.
func (l *link) stages(ctx context.Context, args []string) ([][]string, error) {
	if address, _ := l.cmd.Flags().GetString("cdm-database"); address != "" {
		schema, _ := l.cmd.Flags().GetString("cdm-schema")
		return l.copyCDM(ctx, address, schema)
	}
	dir, _ := l.cmd.Flags().GetString("dir")
	mappings, err := node.Mappings(dir)
	if err != nil {
		return nil, err
	}
	stages, others, err := expand(ctx, args, mappings)
	if err == nil && others > 0 {
		newProgress(l.cmd, 0).say("left out " + counted(others, "file") + ": not named " + dataFiles + ", or tables that no mapping of the node is for and no CDM has of people")
	}
	return stages, err
}

// sentFile is a file with the job that loaded it.
type sentFile struct {
	path   string
	job    client.Job
	before bool // it was loaded well before
}

// unknownPerson is the rule of a record whose patient is not there (yet).
const unknownPerson = "unknown-person"

// sendAll loads files stage by stage, and those once more that came before a patient
// of theirs.
func sendAll(ctx context.Context, l *link, stages [][]string, begun time.Time) ([]sentFile, error) {
	var all []sentFile
	total := len(slices.Concat(stages...))
	load := func(files []string) ([]sentFile, error) {
		loads, sent, err := sendFiles(ctx, l, files, begun)
		switch {
		case err == nil || ctx.Err() == nil:
			return loads, err
		case len(all)+sent < total:
			return nil, fmt.Errorf("%d of %d files were sent; the node goes on with them: see trialmesh node jobs", len(all)+sent, total)
		default:
			return nil, fmt.Errorf("%d of %d files are loaded; the node goes on with the others: see trialmesh node jobs", min(total, len(all)+len(loads)), total)
		}
	}
	for _, files := range stages {
		loads, err := load(files)
		if err != nil {
			return nil, err
		}
		all = append(all, loads...)
	}
	var early []string
	for _, sent := range all {
		if slices.ContainsFunc(sent.job.Problems, func(p client.Problem) bool { return p.Rule == unknownPerson }) {
			early = append(early, sent.path)
		}
	}
	if len(early) == 0 || total == 1 {
		return all, nil
	}
	newProgress(l.cmd, 0).say("loading " + counted(len(early), "file") + " again: patients of theirs may have come later")
	all = slices.DeleteFunc(all, func(sent sentFile) bool { return slices.Contains(early, sent.path) })
	loads, err := load(early)
	return append(all, loads...), err
}

// mayReturn reports whether a node that was there may be there again in a while.
func mayReturn(err error) bool {
	return client.Unreachable(err) || errors.Is(err, client.ErrBusy) || errors.Is(err, errNoNode)
}

// sendFiles sends files and waits for their jobs. It returns how many were sent also
// with an error.
func sendFiles(ctx context.Context, l *link, files []string, begun time.Time) (loads []sentFile, sent int, err error) {
	progress := newProgress(l.cmd, len(files))
	for _, path := range files {
		if size, err := l.size(path); err == nil { // sending it says what else is wrong
			progress.bytes.total += size
		}
	}
	var ids []string
	for _, path := range files {
		u, err := l.send(ctx, path, progress.send)
		if err != nil {
			return nil, len(ids), fmt.Errorf("%s: %w", path, err)
		}
		ids = append(ids, u.Job)
		progress.step("sent")
	}
	progress = newProgress(l.cmd, len(files))
	var held string
	for i, id := range ids {
		job, err := l.watch(ctx, id, func(j client.Job) {
			if j.Held != held {
				progress.say(cmp.Or(j.Held, "the node goes on"))
				held = j.Held
			}
		})
		if err != nil {
			return loads, len(ids), fmt.Errorf("job %s: %w", id, err)
		}
		// The node keeps the job of content that it has loaded well.
		old := job.Ended.Before(begun) && !job.Ended.IsZero() || slices.Contains(ids[:i], id)
		loads = append(loads, sentFile{files[i], job, old})
		progress.step("loaded")
	}
	return loads, len(ids), nil
}

func (o *outcome) add(j client.Job) {
	o.Files++
	o.Records += j.Records
	o.Stored += j.Stored
	o.Replaced += j.Replaced
	o.Duplicates += j.Duplicates
	o.Rejected += j.Rejected
	o.Unmapped += j.Unmapped
	for t, n := range j.ByType {
		o.ByType[t] += n
	}
	for f, n := range j.Findings {
		o.Findings[f] += n
	}
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
		fmt.Fprintf(w, "loaded before\t%s\n", counted(o.Before, "file"))
	}
	printRows(w, o.Records, o.Stored, o.Replaced, o.Duplicates, o.Rejected, o.Unmapped)
	printCounts(w, "records by type", o.ByType)
	printCounts(w, "findings", o.Findings)
	printPlaced(w, o.Problems)
	return w.Flush()
}

func printRows(w io.Writer, records, stored, replaced, duplicates, rejected, unmapped int64) {
	fmt.Fprintf(w, "records\t%d\nrows stored\t%d\nreplaced\t%d\nalready there\t%d\nrejected\t%d\nwithout a standard concept\t%d\n",
		records, stored, replaced, duplicates, rejected, unmapped)
}

func printCounts(w io.Writer, title string, by map[string]int64) {
	if len(by) > 0 {
		fmt.Fprintln(w, title)
	}
	for _, t := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(w, "  %s\t%d\n", t, by[t])
	}
}

// mostProblems is how many problems are printed; --json has all that the node lists.
const mostProblems = 50

func printProblems(w io.Writer, list []client.Problem) {
	all := make([]placed, len(list))
	for i, p := range list {
		all[i].Problem = p
	}
	printPlaced(w, all)
}

func printPlaced(w io.Writer, list []placed) {
	for i, p := range list {
		if i == mostProblems {
			fmt.Fprintf(w, "problem\tand %d more: --json has them\n", len(list)-i)
			return
		}
		text := p.Rule
		if p.Detail != "" {
			text += ": " + printable(p.Detail)
		}
		fmt.Fprintf(w, "problem\t%s %s\t%s\n", p.place(), p.Path, text)
	}
}

// progress counts on standard error, on one line if that is a terminal.
type progress struct {
	cmd         *cobra.Command
	done, total int
	terminal    bool
	last        time.Time

	// bytes of all files, and of those before the one that is being sent; there is
	// no total of what is only waited for.
	bytes struct{ done, now, total int64 }
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

// send shows how many bytes of the current file are on their way.
func (p *progress) send(bytes int64) {
	if p.bytes.now = bytes; p.terminal && time.Since(p.last) >= time.Second/10 {
		p.last = time.Now()
		p.show("sent", "")
	}
}

func (p *progress) step(what string) {
	p.done++
	p.bytes.done, p.bytes.now = p.bytes.done+p.bytes.now, 0
	final := p.done == p.total
	if wait := time.Second / 10; !final && time.Since(p.last) < wait {
		return
	}
	p.last = time.Now()
	switch {
	case p.terminal && final:
		p.show(what, "\n")
	case p.terminal:
		p.show(what, "")
	case final:
		fmt.Fprintf(p.cmd.ErrOrStderr(), "%s %s\n", what, counted(p.total, "file"))
	}
}

// show writes the line anew.
func (p *progress) show(what, end string) {
	fmt.Fprintf(p.cmd.ErrOrStderr(), "\r%s %d of %s", what, p.done, counted(p.total, "file"))
	if p.bytes.total > 0 {
		const mib = 1 << 20
		fmt.Fprintf(p.cmd.ErrOrStderr(), ", %d of %d MiB", (p.bytes.done+p.bytes.now)/mib, (p.bytes.total+mib-1)/mib)
	}
	fmt.Fprint(p.cmd.ErrOrStderr(), end)
}
