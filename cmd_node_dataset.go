package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func newNodeDataset() *cobra.Command {
	return group("dataset", "Load tables with a typed schema that questions can name", newDatasetLoad(), newDatasetList(), newDatasetShow(), newDatasetDrop(), newDatasetCommit())
}

func newDatasetLoad() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Load a CSV or Parquet file as a data set",
		Long: `Load FILE (- for standard input), CSV with a header or Parquet, as the data set that the
schema names, in the place of the one that had the name. One row is one person, whom the
node has to know from another load. The schema is YAML or JSON:

  name: biobank
  version: freeze 3
  person: {column: pid, system: fhir}
  columns:
    - {name: crp, kind: numeric, domain: Measurement, low: 0, high: 500, unit: mg/L}
    - {name: grade, kind: factor, domain: ConditionOccurrence, levels: [low, high]}
    - {name: smoker, kind: logical, domain: Observation, true: "yes", false: "no"}

The system is fhir for ids of FHIR Patients, omop for person_id of a CDM that was loaded, or
the authority that gives out the numbers, as the mappings of tables name it. The domain says
whose scope of consent covers the column. Empty cells and NA are missing; columns that the
schema does not name are left out. A file with a fault changes nothing; with
--skip-bad-rows rows with a fault are left out and counted by rule. Faults name lines,
columns and rules, never a value.`,
		Example: `  trialmesh node dataset load biobank.csv --schema biobank.yaml --dir node
  trialmesh node dataset load biobank.parquet --schema biobank.yaml --skip-bad-rows --dir node --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: loadDataset,
	}
	cmd.Flags().String("schema", "", "file with the schema (required)")
	cmd.Flags().Bool("skip-bad-rows", false, "leave rows with a fault out")
	if err := cmd.MarkFlagRequired("schema"); err != nil {
		panic(err) // the flag was defined above
	}
	return addDir(cmd, "node")
}

func loadDataset(cmd *cobra.Command, args []string) error {
	path, _ := cmd.Flags().GetString("schema")
	skip, _ := cmd.Flags().GetBool("skip-bad-rows")
	schema, err := readInput(cmd, path)
	if err != nil {
		return err
	}
	c, err := localNode(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	file, p := io.NopCloser(cmd.InOrStdin()), newProgress(cmd, 1)
	if args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil {
			p.bytes.total = info.Size()
		}
		file = f
	}
	defer file.Close()
	loaded, err := c.LoadDataset(cmd.Context(), schema, &watched{r: file, p: p}, skip)
	if err != nil {
		return err
	}
	p.step("loaded")
	if wantsJSON(cmd) {
		return printJSON(cmd, loaded)
	}
	return printLoaded(cmd.OutOrStdout(), loaded)
}

// watched shows how much of a file was read.
type watched struct {
	r    io.Reader
	p    *progress
	read int64
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.read += int64(n)
	w.p.send(w.read)
	return n, err
}

func printLoaded(out io.Writer, l dataset.Loaded) error {
	fmt.Fprintf(out, "%s: %s\n", l.Name, counted(l.Rows, "row"))
	for _, rule := range slices.Sorted(maps.Keys(l.Skipped)) {
		fmt.Fprintf(out, "left out by rule %s: %s\n", rule, counted(l.Skipped[rule], "row"))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range l.Problems {
		fmt.Fprintf(w, "line %d\t%s\t%s\n", p.Line, printable(p.Column), p.Rule)
	}
	return w.Flush()
}

func newDatasetList() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "list", Short: "List the data sets", Long: "List the data sets that the running node holds, by name.",
		Example: `  trialmesh node dataset list --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Datasets(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"datasets": notNil(list)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "name\tversion\tcolumns\trows\tloaded")
			for _, d := range list {
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", d.Name, printable(d.Version), d.Columns, d.Rows, d.Loaded.Local().Format(time.DateTime))
			}
			return w.Flush()
		},
	}, "node")
}

func newDatasetShow() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "show NAME", Short: "Show a data set's schema and how much of it is missing",
		Long:    "Show the schema of a data set, its rows, and of each column in which band the share of rows without a value lies. No value is shown.",
		Example: `  trialmesh node dataset show biobank --dir node --json`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			d, err := c.Dataset(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, d)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s, version %s, %s, loaded %s\npersons by column %q, system %s\n\n", d.Name, printable(d.Version), counted(int(d.Rows), "row"),
				d.Loaded.Local().Format(time.DateTime), d.Schema.Person.Column, printable(d.Schema.Person.System))
			w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "column\tkind\tvalues\tdomain\tmissing")
			for i, c := range d.Schema.Columns {
				values := strings.Join(c.Levels, ", ")
				switch c.Kind {
				case query.NumericValues:
					values = fmt.Sprintf("%g to %g %s", c.Low, c.High, c.Unit)
				case query.LogicalValues:
					values = c.True + ", " + c.False
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(c.Name), c.Kind, printable(values), c.Domain, d.Missing[i].Share)
			}
			return w.Flush()
		},
	}, "node")
}

func newDatasetDrop() *cobra.Command {
	return addDir(&cobra.Command{
		Use: "drop NAME", Short: "Remove a data set with its rows",
		Long:    "Remove a data set with all of its rows. Questions that name it are refused from then on.",
		Example: `  trialmesh node dataset drop biobank --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.DropDataset(cmd.Context(), args[0]); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]string{"name": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: dropped\n", printable(args[0]))
			return err
		},
	}, "node")
}
