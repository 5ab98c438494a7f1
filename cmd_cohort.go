package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

func newCohortCommand() *cobra.Command {
	return group("cohort", "Read, check and run OHDSI cohort definitions", newCohortExplain(), newCohortLint(), newCohortRun())
}

func newCohortExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in plain English who is in a cohort",
		Long: `Say in plain English who is in the cohort that FILE, an OHDSI cohort definition as ATLAS
exports it, defines: which events a person enters with, each rule, when they leave, and
what the concept sets hold. Of each set ten concepts are named, with --concepts and with
--json all. With "-", read standard input.`,
		Example: `  trialmesh cohort explain diabetes.json --concepts
  curl -s https://atlas.example/WebAPI/cohortdefinition/17 | jq -r .expression | trialmesh cohort explain -`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := readCohort(cmd, args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, struct {
					Explanation string          `json:"explanation"`
					Reads       []cohort.Domain `json:"reads"` // the tables it looks at
				}{d.Explain(0), d.Reads()})
			}
			concepts := 10 // of each set
			if all, _ := cmd.Flags().GetBool("concepts"); all {
				concepts = 0
			}
			_, err = io.WriteString(cmd.OutOrStdout(), d.Explain(concepts))
			return err
		},
	}
	cmd.Flags().Bool("concepts", false, "name all concepts of each set")
	return cmd
}

func newCohortLint() *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE|DIR",
		Short: "Say what is unsupported or suspicious about cohort definitions",
		Long: `Read FILE, an OHDSI cohort definition, or every .json file in DIR and the folders below it,
and print a line for each element that is wrong, not evaluated or suspicious: an error, a
warning or a note, with its path in the document. It ends with status 1 if there is an error.`,
		Example: `  trialmesh cohort lint diabetes.json
  trialmesh cohort lint cohorts/ --json | jq -r 'select(.findings[].severity == "error") | .file'`,
		Args: args(cobra.ExactArgs(1)),
		RunE: lintCohorts,
	}
}

// readCohort reads a definition from a file, or from standard input for "-".
func readCohort(cmd *cobra.Command, path string) (cohort.Definition, error) {
	raw, err := readInput(cmd, path)
	if err != nil {
		return cohort.Definition{}, err
	}
	d, err := cohort.Read(raw)
	if err != nil {
		return cohort.Definition{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func lintCohorts(cmd *cobra.Command, args []string) error {
	files, err := definitionFiles(args[0])
	if err != nil {
		return err
	}
	wrong := 0
	for _, path := range files {
		raw, err := readInput(cmd, path)
		if err != nil {
			return err
		}
		findings := cohort.Check(raw)
		if slices.ContainsFunc(findings, func(f cohort.Finding) bool { return f.Severity == cohort.Error }) {
			wrong++
		}
		if err := printFindings(cmd, path, findings); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %s cannot be evaluated as they are", wrong, counted(len(files), "definition"))
	}
	return nil
}

func printFindings(cmd *cobra.Command, path string, findings []cohort.Finding) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, struct {
			File     string           `json:"file"`
			Findings []cohort.Finding `json:"findings"`
		}{path, append([]cohort.Finding{}, findings...)})
	}
	for _, f := range findings {
		at := path
		if f.Path != "" {
			at += ": " + f.Path
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s: %s (%s)\n", at, f.Severity, f.Sentence, f.Rule); err != nil {
			return err
		}
	}
	return nil
}

// definitionFiles returns path itself, or the .json files below it if it is a folder.
func definitionFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if path == "-" || err == nil && !info.IsDir() {
		return []string{path}, nil
	}
	if err != nil {
		return nil, usageError{err}
	}
	var files []string
	err = filepath.WalkDir(path, func(at string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.EqualFold(filepath.Ext(at), ".json") {
			files = append(files, at)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = usageError{errors.New(path + ": no .json file in it")}
	}
	return files, err
}
