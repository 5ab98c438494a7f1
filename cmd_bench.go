package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/bench"
	simulated "github.com/trialmesh/trialmesh/simulations/bench"
)

// benchmarks returns all that there is to measure, by name: those of a site alone and
// those of a network.
func benchmarks() []bench.Benchmark {
	return slices.SortedFunc(slices.Values(slices.Concat(bench.All(), simulated.All())), func(a, b bench.Benchmark) int {
		return strings.Compare(a.Name, b.Name)
	})
}

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench NAME",
		Short: "Measure how fast this machine takes in data and answers questions",
		Long: `Measure one benchmark of trialmesh bench list on data that it makes up, with a node's
parts or a whole network in this process, and print a line for each figure: its value, what was measured
beside it in the same run and the ratio of both, and the bar that it should meet.
It ends with status 1 if a bar is not met. Figures are medians of three rounds after
a warm-up, and comparable only with those of a machine that had nothing else to do.
Files are made in a folder of their own in --dir, whose file system has to be one on
which a sync is real, and are removed at the end, also with Ctrl-C.`,
		Example: `  trialmesh bench list
  trialmesh bench ingest-fhir --dir /var/lib/trialmesh --json
  trialmesh bench ingest-observations --database postgres://trialmesh@db.example/bench
  trialmesh bench ingest-memory --size 5GiB
  trialmesh bench ingest-curve --points 50000000
  trialmesh bench cohort-index --persons 100000
  trialmesh bench cohort --postgres /usr/lib/postgresql/15/bin
  trialmesh bench count-roundtrip --json
  trialmesh bench means --database postgres
  trialmesh bench grid --nodes 3,10 --delays 0s,20ms`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("bench needs one name: %s, or list", strings.Join(benchNames(), ", "))}
			}
			return nil
		},
		RunE: measure,
	}
	cmd.Flags().String("dir", ".", "folder on the file system to measure")
	cmd.Flags().String("database", "", "postgres:// URL, in which a schema is made and removed for every node, or postgres for a server of its own (default SQLite)")
	cmd.Flags().Duration("for", 6*time.Second, "how long to measure a figure, in three rounds")
	cmd.Flags().String("size", "256MiB", "size of the file of ingest-memory, in KiB, MiB or GiB")
	cmd.Flags().Int("points", 5_000_000, "stored points to which ingest-curve goes")
	cmd.Flags().Int("persons", 0, "people of cohort (default 1,000,000, and 100,000 beside PostgreSQL) and cohort-index (20,000)")
	cmd.Flags().String("postgres", "", "folder with the programs of PostgreSQL for cohort and --database postgres (default: in /usr/lib/postgresql, or PATH)")
	cmd.Flags().IntSlice("nodes", nil, "nodes of the networks of grid (default 3,10,50,100), and among whom mask masks beside 10")
	cmd.Flags().DurationSlice("delays", nil, "round trips of grid (default 0s,20ms,100ms)")
	cmd.Flags().Lookup("delays").DefValue = "" // its words have it
	cmd.Flags().Int("questions", 500, "questions that concurrent asks at once")
	cmd.Flags().Float64("bar", 0, "another bar for the first figure (default as listed)")
	cmd.AddCommand(newBenchList())
	return cmd
}

func newBenchList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Say what there is to measure and what the figures mean",
		Example: "  trialmesh bench list",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, b := range benchmarks() {
				if wantsJSON(cmd) {
					if err := printJSON(cmd, map[string]string{"name": b.Name, "explain": strings.ReplaceAll(b.Explain, "\n", " ")}); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n", b.Name, strings.ReplaceAll(b.Explain, "\n", "\n  "))
			}
			if wantsJSON(cmd) {
				return nil
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), "Files are made in --dir, by default the working directory: what is measured is its\n"+
				"file system, which should be the node's own disk and not tmpfs, where a sync is nothing.\n")
			return err
		},
	}
}

func benchNames() []string {
	var names []string
	for _, b := range benchmarks() {
		names = append(names, b.Name)
	}
	return names
}

func measure(cmd *cobra.Command, args []string) error {
	dir, _ := cmd.Flags().GetString("dir")
	database, _ := cmd.Flags().GetString("database")
	duration, _ := cmd.Flags().GetDuration("for")
	points, _ := cmd.Flags().GetInt("points")
	persons, _ := cmd.Flags().GetInt("persons")
	programs, _ := cmd.Flags().GetString("postgres")
	nodes, _ := cmd.Flags().GetIntSlice("nodes")
	delays, _ := cmd.Flags().GetDurationSlice("delays")
	questions, _ := cmd.Flags().GetInt("questions")
	bar, _ := cmd.Flags().GetFloat64("bar")
	text, _ := cmd.Flags().GetString("size")
	size, err := parseSize(text)
	if err != nil {
		return usageError{fmt.Errorf("--size: %w", err)}
	}
	if duration <= 0 {
		return usageError{errors.New("--for: a duration over 0")}
	}
	progress := newProgress(cmd, 0)
	table := newFigureTable(cmd)
	figures, err := bench.Run(cmd.Context(), benchmarks(), args[0], bench.Config{
		Dir: dir, Database: database, For: duration, Size: size, Points: points, Persons: persons,
		Programs: programs, Nodes: nodes, Delays: delays, Questions: questions, Bar: bar, Progress: progress.say, Measured: table.add,
	})
	switch {
	case errors.Is(err, bench.ErrName):
		return usageError{fmt.Errorf("%w: there are %s", err, strings.Join(benchNames(), ", "))}
	case errors.Is(err, bench.ErrConfig):
		return usageError{err}
	case err != nil && cmd.Context().Err() != nil:
		return errors.New("stopped; what was made is removed")
	case err != nil:
		return err
	}
	if table.failed != nil {
		return table.failed
	}
	for _, f := range figures {
		if !f.OK {
			return fmt.Errorf("%s is %s %s, and the bar is %s %s", f.Name, short(f.Value), f.Unit, bound(f), short(*f.Bar))
		}
	}
	return nil
}

// figureTable prints figures one by one, as they are measured.
type figureTable struct {
	cmd    *cobra.Command
	begun  bool
	failed error // of printing
}

func newFigureTable(cmd *cobra.Command) *figureTable { return &figureTable{cmd: cmd} }

// figureRow has columns for the longest names and units that there are.
const figureRow = "%-28s  %8s  %-14s  %-14s  %-3s  %8s  %s\n"

func (t *figureTable) add(f bench.Figure) {
	if wantsJSON(t.cmd) {
		t.failed = errors.Join(t.failed, printJSON(t.cmd, f))
		return
	}
	if !t.begun {
		t.begun = true
		t.print("figure", "value", "unit", "bar", "met", "ratio", "to")
	}
	bar, met, ratio, to := "", "", "", ""
	if f.Bar != nil {
		bar, met = bound(f)+" "+short(*f.Bar), "no"
		if f.OK {
			met = "yes"
		}
	}
	if f.Reference != nil {
		to = f.Reference.Name + ", " + short(f.Reference.Value)
	}
	if f.Ratio != nil {
		ratio = short(*f.Ratio)
	}
	t.print(f.Name, short(f.Value), f.Unit, bar, met, ratio, to)
}

func (t *figureTable) print(columns ...any) {
	line := strings.TrimRight(fmt.Sprintf(figureRow, columns...), " \n")
	_, err := fmt.Fprintln(t.cmd.OutOrStdout(), line)
	t.failed = errors.Join(t.failed, err)
}

// bound says which side of its bar a figure should be on.
func bound(f bench.Figure) string {
	if f.Most {
		return "at most"
	}
	return "at least"
}

// short is a number for people: three digits, or all of a large one.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// parseSize reads a size such as 256MiB, or bytes.
func parseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = n, bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<20*(1<<30)/unit {
		return 0, errors.New("want a number of KiB, MiB or GiB, such as 256MiB")
	}
	return n * unit, nil
}
