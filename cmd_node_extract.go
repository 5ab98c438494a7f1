package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/extract"
	"github.com/trialmesh/trialmesh/node/fsck"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

func newNodeExtract() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "extract",
		Short: "Write de-identified tables that the site makes for itself",
		Long: `Write persons and events of the node's store as OMOP CDM tables (CSV) into a new folder of
this machine, also while the node runs. A specification says what; see extract example.
Persons get a pseudonym and their dates are moved by a key of the study, which stays in the
node's directory. Demographics are made coarse until at least k persons share every
combination, whoever is left over is suppressed, and the table printed at the end and
manifest.json in the folder name it, with the risk that is left.

Without --trial everybody in the store can be in the extract, whatever they consented to:
that is for uses that need no consent, and the site answers for it. With it, only persons
whose consent to the trial is in force and covers record access and the tables wanted.

The node sends nothing of it anywhere and records it in its trail. De-identified is not
anonymous: a history of events can be unlike all others however coarse the demographics.`,
		Example: `  trialmesh node extract example > study.yaml
  trialmesh node extract --dir node --spec study.yaml --dry-run
  trialmesh node extract --dir node --spec study.yaml --to /srv/extracts/study-1
  trialmesh node extract --dir node --spec study.yaml --to /srv/extracts/study-2 --trial glucose-1`,
		Args: func(cmd *cobra.Command, list []string) error {
			if len(list) > 0 {
				return unknownCommand(cmd, list[0])
			}
			return nil
		},
		RunE: extractNode,
	}
	cmd.Flags().String("spec", "", "YAML file that says what the extract holds, - for standard input (required)")
	cmd.Flags().String("to", "", "folder to make, which must not exist")
	cmd.Flags().String("trial", "", "only persons whose consent to this trial is in force")
	cmd.Flags().Bool("dry-run", false, "measure and count, and write nothing")
	if err := cmd.MarkFlagRequired("spec"); err != nil {
		panic(err) // the flag was defined above
	}
	addDir(cmd, "node")
	cmd.AddCommand(newNodeExtractExample())
	return cmd
}

func newNodeExtractExample() *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a specification with all settings explained",
		Example: `  trialmesh node extract example > study.yaml`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), extract.Example)
			return err
		},
	}
}

func extractNode(cmd *cobra.Command, _ []string) error {
	path, _ := cmd.Flags().GetString("spec")
	to, _ := cmd.Flags().GetString("to")
	dry, _ := cmd.Flags().GetBool("dry-run")
	only, _ := cmd.Flags().GetString("trial")
	if (to == "") != dry {
		return usageError{errors.New("name a folder with --to, or give --dry-run")}
	}
	text, err := readInput(cmd, path)
	if err != nil {
		return err
	}
	spec, err := extract.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return err
	}
	var s nodeSettings
	if err := loadConfig(cmd, filepath.Join(cfg.Dir, nodeConfigFile), "TRIALMESH_NODE_", &s); err != nil {
		return err
	}
	cfg.Shape = s.Shape.Shape
	shown := newMeter(cmd)
	m, err := node.Extract(cmd.Context(), cfg, node.Extraction{
		Spec: spec, To: to, Trial: trial.ID(only), Program: version(),
		Progress: func(done, total int64) { shown.show(fsck.Progress{Doing: "persons", Done: done, Total: total}) },
	})
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"folder": to, "manifest": m})
	}
	return printExtract(cmd, to, m)
}

func printExtract(cmd *cobra.Command, to string, m extract.Manifest) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if to == "" {
		to = "not written (dry run)"
	}
	fmt.Fprintf(w, "extract\t%s\nstudy\t%s\ndates\t%s\n", to, m.Study, m.Dates)
	if m.Trial == "" {
		fmt.Fprintln(w, "consents\tnot asked: everybody in the store could be in it")
	} else {
		fmt.Fprintf(w, "consents\tin force for trial %s\n", m.Trial)
	}
	p := m.Persons
	fmt.Fprintf(w, "persons\t%d written of %d; suppressed: %d for k, %d for l\n", p.Written, p.Eligible, p.Small, p.Uniform)
	for _, g := range m.Generalized {
		fmt.Fprintf(w, "%s\t%s\n", g.Attribute, g.Level)
	}
	fmt.Fprintf(w, "k\t%d (asked for %d), %d combinations\n", m.Measured.K, m.Goal.K, m.Measured.Classes)
	for _, d := range m.Measured.Sensitive {
		fmt.Fprintf(w, "l of %s\t%d, by entropy %.2f\n", d.Name, d.L, d.EntropyL)
	}
	for _, t := range m.Tables {
		fmt.Fprintf(w, "%s\t%d rows", t.File, t.Rows)
		for _, left := range []struct {
			rows int64
			why  string
		}{{t.Rare, "rare concept"}, {t.Before, "before the written birth"}, {t.After, "after the end"}} {
			if left.rows > 0 {
				fmt.Fprintf(w, "; %d left out: %s", left.rows, left.why)
			}
		}
		if t.Cut > 0 {
			fmt.Fprintf(w, "; %d dates cut", t.Cut)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "risk by demographics\tprosecutor %.4f, journalist %.4f, marketer %.4f\n", m.Risk.Prosecutor, m.Risk.Journalist, m.Risk.Marketer)
	fmt.Fprintf(w, "risk by history\t%d of %d persons have a set of concepts that nobody else has\n", m.Histories.Unique, m.Histories.Persons)
	return w.Flush()
}
