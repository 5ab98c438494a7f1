package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeVariables() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "variables",
		Short: "List, add and change what the node checks and has a meaning for",
		Long: `List the variables: codes of measured values with their concept, units and bounds, by
which values are checked when they are loaded. Outside of low to high a value is marked as
an outlier, outside of min to max it is left out of answers. Every version of the list is
kept; loads name theirs.`,
		Example: `  trialmesh node variables --dir node
  trialmesh node variables --dir node --category laboratory --json
  trialmesh node variables --dir node --version 1 --code 8480-6`,
		Args: args(cobra.NoArgs),
		RunE: listVariables,
	}
	f := cmd.Flags()
	f.String("category", "", "only of this category, for example vital-signs")
	f.String("system", "", "only of this code system, for example http://loinc.org")
	f.String("code", "", "only this code")
	f.Int("version", 0, "of this version, 0 for the newest")
	cmd.AddCommand(newVariablesImport(), newVersions("variables", (*client.Client).VariableVersions))
	return addDir(cmd, "node")
}

func listVariables(cmd *cobra.Command, _ []string) error {
	var s client.Selection
	f := cmd.Flags()
	s.Category, _ = f.GetString("category")
	s.System, _ = f.GetString("system")
	s.Code, _ = f.GetString("code")
	s.Version, _ = f.GetInt("version")
	c, err := localNode(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	version, list, err := c.Variables(cmd.Context(), s)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"version": version, "variables": notNil(list)})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "system\tcode\tconcept\tcategory\tunit\tmin\tlow\thigh\tmax\tvalid\tdisplay")
	for _, v := range list {
		for _, u := range v.Units {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.System, v.Code, v.Concept, v.Category, u.Unit,
				limit(u.Min), limit(u.Low), limit(u.High), limit(u.Max), validity(v.ValidFrom, v.ValidTo), printable(v.Display))
		}
	}
	fmt.Fprintf(w, "version %d\n", version)
	return w.Flush()
}

// limit writes a bound, - for none.
func limit(n *float64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}

// validity writes the days from and to, "always" if neither is limited.
func validity(from, to string) string {
	if from == "" && to == "" {
		return "always"
	}
	return strings.TrimSpace(from + " to " + to)
}

func newVariablesImport() *cobra.Command {
	return newImport("variables", "Add or change variables by a CSV or YAML file", `Make a new version of the list: the variables of FILE (- for standard input) are added, or
take the place of those with the same system and code. Loads from now on use it; see node
remap for what was loaded before. The columns are system, code, category, unit, and as far
as known concept_id, unit_concept_ids (looked up in the vocabulary if left out), display,
low, high, min, max, valid_from, valid_to; a row is a variable in one unit, its canonical
unit first. A file with a fault changes nothing.`, "variables.csv", (*client.Client).ImportVariables)
}

func newNodeUnits() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "units",
		Short: "List the units that the node knows",
		Long: `List the units that UCUM defines, without prefixes; any product of them is a unit too.
Units of one dimension can be converted into each other.`,
		Example: `  trialmesh node units --dir node
  trialmesh node units --dir node --system http://unitsofmeasure.org --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			system, _ := cmd.Flags().GetString("system")
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Units(cmd.Context(), system)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"units": notNil(list)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "code\tname\tsymbol\tproperty\tdimension\tmetric\tspecial")
			for _, u := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%t\t%t\n", u.Code, u.Name, u.Symbol, u.Property, u.Dimension, u.Metric, u.Special)
			}
			return w.Flush()
		},
	}
	cmd.Flags().String("system", "", "only of this code system")
	return addDir(cmd, "node")
}

// newImport makes the command that makes a version of a file.
func newImport(list, short, long, file string, do func(*client.Client, context.Context, io.Reader, bool) (client.Version, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE", Short: short, Long: long,
		Example: "  trialmesh node " + list + " import " + file + " --dir node",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			replace, _ := cmd.Flags().GetBool("replace")
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			content, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			v, err := do(c, cmd.Context(), bytes.NewReader(content), replace)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, v)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "version %d, %d entries\n", v.Version, v.Entries)
			return err
		},
	}
	cmd.Flags().Bool("replace", false, "drop what was imported before")
	return addDir(cmd, "node")
}

// newVersions makes the command that lists the versions of a list.
func newVersions(list string, ask func(*client.Client, context.Context) ([]client.Version, error)) *cobra.Command {
	return addDir(&cobra.Command{
		Use: "versions", Short: "List the versions, newest first", Long: "List the versions that there are. The first one is in force.",
		Example: "  trialmesh node " + list + " versions --dir node",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			all, err := ask(c, cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"versions": notNil(all)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "version\tsince\tentries\tdigest")
			for _, v := range all {
				fmt.Fprintf(w, "%d\t%s\t%d\t%s\n", v.Version, v.At.Local().Format(time.DateTime), v.Entries, v.Digest)
			}
			return w.Flush()
		},
	}, "node")
}
