package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/parquet"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

func newNodeMap() *cobra.Command {
	return group("map", "Make and try mappings of CSV, TSV and Parquet files",
		newNodeMapSuggest(), newNodeMapPreview(), newNodeMapCheck())
}

func newNodeMapSuggest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suggest FILE",
		Short: "Propose a mapping for a file",
		Long: `Look at the first 2,000 rows of FILE (CSV, TSV, ; or |, Parquet, plain or .gz, - for
standard input) and propose a mapping: the delimiter, the forms of dates and numbers, units,
code systems and what a row is. Lines with "decide" in the proposal are for a person;
they are listed on standard error too. It holds names of columns, codes and units of
the file and no other cell. No node is needed.`,
		Example: `  trialmesh node map suggest lab.csv --out lab.yaml
  trialmesh node map suggest export/observations.csv.gz | less`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, _ := cmd.Flags().GetString("out")
			src, err := openTable(cmd, args[0])
			if err != nil {
				return err
			}
			defer src.Close()
			s, err := table.Suggest(cmd.Context(), src, tableName(args[0]))
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if wantsJSON(cmd) && out == "-" {
				return printJSON(cmd, map[string]any{"mapping": string(s.YAML), "notes": notNil(s.Notes)})
			}
			if err := writeOutput(cmd, out, s.YAML, 0o644); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"file": out, "notes": notNil(s.Notes)})
			}
			for _, note := range s.Notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "decide:", note)
			}
			return nil
		},
	}
	cmd.Flags().String("out", "-", "file to write, which must not exist; - for standard output")
	return cmd
}

// tableName is a name for the mapping of a file: the file's without its endings.
func tableName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// openTable opens a file, or standard input for "-". A Parquet file reads as the CSV that it
// stands for.
func openTable(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return parquet.Text(cmd.Context(), io.NopCloser(cmd.InOrStdin()), fhir.Options{})
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := parquet.Text(cmd.Context(), f, fhir.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return text, nil
}

// notNil makes JSON write an empty list as one.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func newNodeMapCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check MAPPING…",
		Short: "Check mapping files",
		Long: `Read mapping files and list what is wrong with them by file and line. Files that are
given together are also checked as the set that a node reads: two mappings must not
have one name or be for the same header. It ends with status 1 if anything is wrong.
Lines that are still marked "decide:" are a warning: take the mark out once decided.`,
		Example: `  trialmesh node map check mappings/*.yaml`,
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, read, undecided := []mapFault{}, map[string]*table.Mapping{}, []mapUndecided{}
			for _, path := range args {
				text, err := readInput(cmd, path)
				if err != nil {
					return err
				}
				if lines := table.Undecided(text); len(lines) > 0 {
					undecided = append(undecided, mapUndecided{path, lines})
				}
				m, err := table.Parse(text)
				for _, f := range table.AsFaults(err) {
					found = append(found, mapFault{path, f.Line, f.Text})
				}
				for _, other := range slices.Sorted(maps.Keys(read)) {
					switch o := read[other]; {
					case m == nil || other == path:
					case m.Name == o.Name:
						found = append(found, mapFault{path, 1, "name: " + other + " has it as well"})
					case m.Overlaps(o):
						found = append(found, mapFault{path, 1, "columns: " + other + " is for the same header"})
					}
				}
				if m != nil {
					read[path] = m
				}
			}
			if err := printFaults(cmd, found, undecided, len(args)); err != nil {
				return err
			}
			if len(found) > 0 {
				return fmt.Errorf("%d faults in %d mappings", len(found), len(args))
			}
			return nil
		},
	}
}

// mapFault is one thing that is wrong with a mapping file.
type mapFault struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// mapUndecided is the lines of a mapping file that a person still has to decide.
type mapUndecided struct {
	File  string `json:"file"`
	Lines []int  `json:"lines"`
}

// print warns of the lines.
func (u mapUndecided) print(w io.Writer) error {
	if len(u.Lines) == 0 {
		return nil
	}
	shown := u.Lines[:min(len(u.Lines), 2*maxPreviewLines)]
	_, err := fmt.Fprintf(w, "warning: %s: %d lines with \"decide\" are left: %s\n", u.File, len(u.Lines), numbers(shown, int64(len(u.Lines))))
	return err
}

func printFaults(cmd *cobra.Command, found []mapFault, undecided []mapUndecided, files int) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"files": files, "faults": found, "undecided": undecided})
	}
	for _, u := range undecided {
		if err := u.print(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	for _, f := range found {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s:%d: %s\n", f.File, f.Line, f.Text); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "no problem in %s\n", counted(files, "mapping"))
	return err
}

func newNodeMapPreview() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preview FILE",
		Short: "Try a mapping on a file without loading it",
		Long: `Read FILE (CSV, TSV or Parquet, plain or .gz, - for standard input) by a mapping and
say what it gives: rows, records by type, problems by rule, column and line, units and codes that are not
understood. Nothing is stored and no node is needed. Of the first rows it says of which
kind each field is; with --values also what patients' rows say. Lines of the mapping
that are still marked "decide:" are a warning. It ends with status 1 if the file gives
no record.`,
		Example: `  trialmesh node map preview lab.csv --map lab.yaml
  trialmesh node map preview lab.csv --map lab.yaml --rows 20 --values`,
		Args: args(cobra.ExactArgs(1)),
		RunE: preview,
	}
	cmd.Flags().String("map", "", "mapping file (required)")
	cmd.Flags().Int("rows", 5, "of how many rows to show the records, 0 to 1000")
	cmd.Flags().Bool("values", false, "show what the rows of patients say")
	if err := cmd.MarkFlagRequired("map"); err != nil {
		panic(err) // the flag was defined four lines above
	}
	return cmd
}

// previewed is what a mapping gives, as preview --json prints it.
type previewed struct {
	Mapping  string            `json:"mapping"`
	Open     mapUndecided      `json:"undecided"`
	Rows     int64             `json:"rows"`    // the sum of used, unused and skipped
	Used     int64             `json:"used"`    // made records
	Unused   int64             `json:"unused"`  // made none
	Skipped  int64             `json:"skipped"` // a problem of the whole row
	Reasons  map[string]int64  `json:"reasons"` // of unused
	Records  int64             `json:"records"`
	ByType   map[string]int64  `json:"byType"`
	Problems []previewProblem  `json:"problems"`
	Cleaned  map[string]int64  `json:"cleaned"` // invisible characters, by column
	Units    []previewSpelling `json:"units"`   // that are not UCUM
	Codes    []previewSpelling `json:"codes"`   // that are not understood
	Sample   []previewRecord   `json:"sample"`
}

type previewProblem struct {
	Rule   string `json:"rule"`
	Column string `json:"column"`
	Detail string `json:"detail"`
	Count  int64  `json:"count"`
	Lines  []int  `json:"lines"` // the first ones
}

type previewSpelling struct {
	Column string `json:"column,omitempty"`
	Text   string `json:"text"`
	Count  int64  `json:"count"`
}

type previewRecord struct {
	Line   int      `json:"line"`
	Type   string   `json:"type"`
	Fields []string `json:"fields"`
}

// maxPreviewLines is how many lines are named of a problem.
const maxPreviewLines = 5

func preview(cmd *cobra.Command, args []string) error {
	rows, _ := cmd.Flags().GetInt("rows")
	values, _ := cmd.Flags().GetBool("values")
	path, _ := cmd.Flags().GetString("map")
	if rows < 0 || rows > 1000 {
		return usageError{errors.New("--rows: want 0 to 1000")}
	}
	text, err := readInput(cmd, path)
	if err != nil {
		return err
	}
	m, err := table.Parse(text)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", path, err)}
	}
	src, err := openTable(cmd, args[0])
	if err != nil {
		return err
	}
	defer src.Close()

	t, tally := previewed{Mapping: m.Name, Open: mapUndecided{path, notNil(table.Undecided(text))}, ByType: map[string]int64{}}, table.Tally{}
	shown, last := 0, 0
	for rec, err := range table.Read(cmd.Context(), src, m, table.Options{Tally: &tally}) {
		if p, ok := fhir.AsProblem(err); ok {
			t.add(p)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		t.Records++
		t.ByType[rec.Type]++
		if rec.Line != last {
			shown, last = shown+1, rec.Line
		}
		if shown <= rows {
			t.Sample = append(t.Sample, previewRecord{rec.Line, rec.Type, table.Describe(rec, values)})
		}
	}
	t.take(tally)
	if err := t.print(cmd); err != nil {
		return err
	}
	if t.Records == 0 {
		return fmt.Errorf("%s: the mapping gives no record", args[0])
	}
	return nil
}

// add counts a problem with the others of its rule and column.
func (t *previewed) add(p *fhir.Problem) {
	at := slices.IndexFunc(t.Problems, func(o previewProblem) bool {
		return o.Rule == string(p.Rule) && o.Column == p.Path && o.Detail == p.Detail
	})
	if at < 0 {
		at = len(t.Problems)
		t.Problems = append(t.Problems, previewProblem{Rule: string(p.Rule), Column: p.Path, Detail: p.Detail})
	}
	one := &t.Problems[at]
	if one.Count++; len(one.Lines) < maxPreviewLines {
		one.Lines = append(one.Lines, p.Line)
	}
}

// take takes in what the reader counted; most frequent first.
func (t *previewed) take(tally table.Tally) {
	t.Rows, t.Used, t.Unused, t.Skipped = tally.Rows, tally.Used, tally.Unused, tally.Skipped
	t.Reasons, t.Cleaned = map[string]int64{}, map[string]int64{}
	maps.Copy(t.Reasons, tally.Reasons)
	maps.Copy(t.Cleaned, tally.Cleaned)
	for spelling, n := range tally.Units {
		t.Units = append(t.Units, previewSpelling{Text: spelling, Count: n})
	}
	for code, n := range tally.Codes {
		t.Codes = append(t.Codes, previewSpelling{Column: code.Column, Text: code.Code, Count: n})
	}
	for _, list := range [][]previewSpelling{t.Units, t.Codes} {
		slices.SortFunc(list, func(a, b previewSpelling) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
		})
	}
	t.Problems, t.Units, t.Codes, t.Sample = notNil(t.Problems), notNil(t.Units), notNil(t.Codes), notNil(t.Sample)
}

// maxPreviewNames is how many units and codes are printed; --json has all that were counted.
const maxPreviewNames = 20

func (t *previewed) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, t)
	}
	if err := t.Open.print(cmd.OutOrStdout()); err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "mapping\t%s\nrows\t%d\nthat made records\t%d\nof no record\t%d\n", t.Mapping, t.Rows, t.Used, t.Unused)
	for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
		fmt.Fprintf(w, "  %s\t%d\n", reason, t.Reasons[reason])
	}
	fmt.Fprintf(w, "passed over\t%d\nrecords\t%d\n", t.Skipped, t.Records)
	printCounts(w, "records by type", t.ByType)
	for _, p := range t.Problems {
		fmt.Fprintf(w, "problem\t%s\t%s\t%d times, line %s\t%s\n", p.Rule, printable(p.Column), p.Count, numbers(p.Lines, p.Count), p.Detail)
	}
	for _, column := range slices.Sorted(maps.Keys(t.Cleaned)) {
		fmt.Fprintf(w, "invisible characters\t%s\t\t%d times\n", printable(column), t.Cleaned[column])
	}
	printSpellings(w, "unit that is not UCUM", t.Units)
	printSpellings(w, "code not understood", t.Codes)
	for _, r := range t.Sample {
		fmt.Fprintf(w, "line %d\t%s\t%s\n", r.Line, r.Type, printable(strings.Join(r.Fields, ", ")))
	}
	return w.Flush()
}

func printSpellings(w io.Writer, what string, list []previewSpelling) {
	for i, s := range list {
		if i == maxPreviewNames {
			fmt.Fprintf(w, "%s\t...\t\tand %d more\n", what, len(list)-i)
			return
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d times\n", what, printable(cmp.Or(s.Column, "-")), printable(s.Text), s.Count)
	}
}

// printable replaces what a file could use to command a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// numbers writes the lines of a problem that came count times.
func numbers(lines []int, count int64) string {
	text := strings.Trim(strings.ReplaceAll(fmt.Sprint(lines), " ", ", "), "[]")
	if int64(len(lines)) < count {
		text += ", ..."
	}
	return text
}
