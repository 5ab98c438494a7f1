package main

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeCodes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "codes",
		Short: "Map the site's own codes to standard concepts",
		Long: `List the site's maps of its own codes. They are asked after the vocabulary, for codes that
it does not map to a standard concept. Every version is kept; loads name theirs.`,
		Example: `  trialmesh node codes unmapped --dir node
  trialmesh node codes import usagi.csv --dir node
  trialmesh node codes export --dir node > codes.csv`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			vocabulary, _ := cmd.Flags().GetString("vocabulary")
			version, list, err := readCodes(cmd, vocabulary)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"version": version, "codes": notNil(list)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "vocabulary\tcode\tconcept\tof\tinvalid\tdescription")
			for _, e := range list {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", printable(e.Vocabulary), printable(e.Code), e.Target, e.TargetIn, e.Invalid, printable(e.Description))
			}
			fmt.Fprintf(w, "version %d\n", version)
			return w.Flush()
		},
	}
	cmd.Flags().String("vocabulary", "", "only of this source vocabulary")
	cmd.Flags().Int("version", 0, "of this version, 0 for the newest")
	cmd.AddCommand(newCodesUnmapped(), newCodesExport(), newVersions("codes", (*client.Client).CodeVersions),
		newImport("codes", "Map codes by a file of SOURCE_TO_CONCEPT_MAP", `Make a new version of the maps. FILE (- for standard input) is CSV with the columns of
OMOP's SOURCE_TO_CONCEPT_MAP, as Usagi exports it. Its rows take the place of all rows of
the same source vocabularies. source_vocabulary_id is OMOP's name of the code system, or
the system as the source sends it, or None for codes of any other; UCUM for units. A
target has to be a standard concept of the vocabulary that is loaded. Loads from now on
use it; see node remap for what was loaded before. A file with a fault changes nothing.`, "usagi.csv", (*client.Client).ImportCodes))
	return addDir(cmd, "node")
}

func readCodes(cmd *cobra.Command, vocabulary string) (int, []client.CodeEntry, error) {
	number, _ := cmd.Flags().GetInt("version")
	c, err := localNode(cmd)
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	return c.Codes(cmd.Context(), vocabulary, number)
}

func newCodesExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the maps as a file that can be edited and imported",
		Long:  "Write a version of the maps as CSV with the columns of SOURCE_TO_CONCEPT_MAP.",
		Example: `  trialmesh node codes export --dir node > codes.csv
  trialmesh node codes export --dir node --version 3 > before.csv`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			version, list, err := readCodes(cmd, "")
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"version": version, "codes": notNil(list)})
			}
			w := csv.NewWriter(cmd.OutOrStdout())
			rows := [][]string{{
				"source_code", "source_concept_id", "source_vocabulary_id", "source_code_description", "target_concept_id",
				"target_vocabulary_id", "valid_start_date", "valid_end_date", "invalid_reason",
			}}
			for _, e := range list {
				rows = append(rows, []string{
					e.Code, strconv.FormatInt(e.SourceConcept, 10), e.Vocabulary, e.Description, strconv.FormatInt(e.Target, 10),
					e.TargetIn, e.From, e.To, e.Invalid,
				})
			}
			return w.WriteAll(rows)
		},
	}
	cmd.Flags().Int("version", 0, "of this version, 0 for the newest")
	return addDir(cmd, "node")
}

func newCodesUnmapped() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "unmapped",
		Short: "List codes without a standard concept, by frequency",
		Long: `List the codes that are stored without a standard concept, the most frequent first. A value
that is no code of a known system may be what somebody wrote about a patient: it is listed
only if it is of 11 or more patients.`,
		Example: `  trialmesh node codes unmapped --dir node
  trialmesh node codes unmapped --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Unmapped(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"codes": notNil(list)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "rows\tpatients\tvocabulary\tcode\ttable\tname")
			for _, u := range list {
				table := u.Table
				if u.Unit {
					table += ", unit"
				}
				fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\n", u.Rows, u.Persons, printable(u.Vocabulary), printable(u.Code), table, printable(u.Name))
			}
			return w.Flush()
		},
	}, "node")
}
