package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// addOutput adds the flags of commands that show an answer.
func addOutput(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("format", "", "table, json, csv, parquet, html, svg or png (default: what --out ends in, else table)")
	cmd.Flags().String("out", "-", "new file for the answer, - for standard output")
	return cmd
}

// output is where an answer goes, and how it is written.
type output struct {
	path   string
	format report.Format
}

// endings are formats by the ending of a file, besides a format's own name.
var endings = map[string]report.Format{"txt": report.Table, "htm": report.HTML}

// readOutput reads the flags of addOutput, and refuses what could not be written later.
func readOutput(cmd *cobra.Command) (output, error) {
	path, _ := cmd.Flags().GetString("out")
	name, _ := cmd.Flags().GetString("format")
	o := output{path, report.Format(name)}
	ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	switch named, known := endings[ending]; {
	case name != "":
	case wantsJSON(cmd):
		o.format = report.JSON
	case known:
		o.format = named
	case slices.Contains(report.Formats(), report.Format(ending)):
		o.format = report.Format(ending)
	case path == "-":
		o.format = report.Table
	default:
		return o, usageError{fmt.Errorf("--out: %s does not say the format; give --format", path)}
	}
	switch {
	case !slices.Contains(report.Formats(), o.format):
		return o, usageError{errors.New("--format: table, json, csv, parquet, html, svg or png")}
	case wantsJSON(cmd) && o.format != report.JSON:
		return o, usageError{errors.New("--json and another --format cannot be had together")}
	case o.format.Binary() && path == "-" && isTerminal(cmd):
		return o, usageError{fmt.Errorf("--format %s: not to a terminal; give --out FILE, or a pipe", o.format)}
	}
	if path != "-" {
		if _, err := os.Lstat(path); err == nil {
			return o, fmt.Errorf("--out: %s is there already", path)
		}
	}
	return o, nil
}

// isTerminal reports whether standard output is one.
func isTerminal(cmd *cobra.Command) bool {
	f, ok := cmd.OutOrStdout().(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// print writes a question and its answer.
func (o output) print(cmd *cobra.Command, q client.Question, sites report.Sites) error {
	return fillOutput(cmd, o.path, 0o644, func() ([]byte, error) {
		var b bytes.Buffer
		if o.format == report.JSON {
			err := encodeJSON(&b, q)
			return b.Bytes(), err
		}
		err := report.Render(&b, answerOf(q, sites), o.format)
		return b.Bytes(), err
	})
}

// withheld is the error that ends a command whose answer released nothing, nil for another.
func (o output) withheld(q client.Question) error {
	if q.Result == nil || q.Result.State.Released() {
		return nil
	}
	e := withheldError{reason: q.Result.Reason}
	if o.path == "-" && o.format == report.Table {
		return e // the table has what to change
	}
	for _, n := range q.Result.Refused {
		if !slices.Contains(e.rules, n.Problem.Rule) {
			e.rules = append(e.rules, n.Problem.Rule)
		}
	}
	return e
}

// sitesOf returns the organizations of the hub's nodes. Without them, nodes have their keys:
// that is no reason not to show an answer.
func sitesOf(ctx context.Context, c *client.Client) report.Sites {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return nil
	}
	sites := make(report.Sites, len(nodes))
	for _, n := range nodes {
		sites[n.DID] = printable(n.Organization)
	}
	return sites
}

// answerOf is what a report shows of a question: also of one that is open.
func answerOf(q client.Question, sites report.Sites) report.Answer {
	a := report.Answer{Request: q.Request, Result: query.Result{Query: q.ID, Trial: q.Trial, State: q.State}, Sites: sites, Fixes: fixes()}
	ledger := fmt.Sprintf("asked in entry %d", q.LedgerIndex)
	if q.ResultIndex >= 0 {
		ledger += fmt.Sprintf(", answered in entry %d", q.ResultIndex)
	}
	a.Notes = append(a.Notes, report.Note{Name: "ledger", Text: ledger})
	if o := q.Request.Schedule; o != nil {
		a.Notes = append(a.Notes, report.Note{Name: "schedule", Text: fmt.Sprintf("%s, occurrence %d", o.Name, o.Number)})
	}
	if part := q.Request.Study; part != nil {
		a.Notes = append(a.Notes, report.Note{Name: "study", Text: fmt.Sprintf("%s, question %s", part, part.Question)})
	}
	for _, node := range q.Waiting {
		a.Notes = append(a.Notes, report.Note{Name: "waiting", Text: fmt.Sprintf("%s  for approval at the site, until %s", sites.Name(node), waitsUntil(q).Format(time.RFC3339))})
	}
	if q.Result != nil {
		a.Result = *q.Result
	}
	for _, p := range q.Accesses {
		chain := "not on a chain"
		if p.Tx != "" {
			chain = fmt.Sprintf("on the chain in block %d, %d gas", p.Block, p.Gas)
		}
		a.Notes = append(a.Notes, report.Note{Name: "proof", Text: fmt.Sprintf("%s  entry %d, %s", sites.Name(p.Node), p.LedgerIndex, chain)})
	}
	return a
}
