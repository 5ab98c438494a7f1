package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
	saved "github.com/trialmesh/trialmesh/protocol/study" // main has a function study
)

func newStudyCommand() *cobra.Command {
	return group("study", "Save a bundle of questions, and ask them all",
		newStudySign(), newStudyPut(), newStudyList(), newStudyShow(), newStudyRun())
}

// studyLife is how long a signed study may be registered.
const studyLife = 366 * 24 * time.Hour

func newStudySign() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sign STUDY",
		Short: "Sign a study as its author",
		Long: `Sign STUDY, a YAML or JSON file:

  name: bp-outcomes
  version: "1"
  title: Outcomes of blood pressure
  trial: bp-2026
  purpose: What becomes of people with hypertension?
  cohorts:
    seen: { an OHDSI cohort definition, as ATLAS exports it }
  questions:
    - {name: by-age, cohort: seen, analysis: {kind: count, by: [age-group]}}
    - {name: by-sex, cohort: seen, analysis: {kind: count, by: [sex]}, purpose: "…"}

Cohorts may be given as files with --cohort instead, and a question may name a
dataset: in place of a cohort. A question's purpose is the
study's unless it has one of its own. Everything is checked as the hospitals will
read it; a version that was registered never changes.`,
		Example: `  trialmesh study sign study.yaml --key researcher.key --out study.signed
  trialmesh study sign study.yaml --cohort seen=atlas/1234.json --key researcher.key --out study.signed`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s saved.Study
			if err := readValue(cmd, args[0], &s); err != nil {
				return err
			}
			if err := addCohorts(cmd, &s); err != nil {
				return err
			}
			if err := s.Validate(); err != nil {
				return err
			}
			for _, q := range s.Questions {
				if err := analysis.Check(q.Analysis); err != nil {
					return fmt.Errorf("question %s: %w", q.Name, err)
				}
			}
			return sign(cmd, saved.KindStudy, s, studyLife)
		},
	}
	cmd.Flags().StringArray("cohort", nil, "NAME=FILE of a cohort definition, may be repeated")
	return addSigning(cmd)
}

// addCohorts adds the definitions of --cohort to a study.
func addCohorts(cmd *cobra.Command, s *saved.Study) error {
	list, _ := cmd.Flags().GetStringArray("cohort")
	for _, text := range list {
		name, path, given := strings.Cut(text, "=")
		if !given || !query.PartName(name) {
			return usageError{errors.New("--cohort: NAME=FILE, the name of lower-case letters, digits and dashes")}
		}
		var asked []string
		for _, q := range s.Questions {
			asked = append(asked, q.Cohort)
		}
		if !slices.Contains(asked, name) {
			return usageError{fmt.Errorf("--cohort: no question of the study is about %s%s", name, spelling.Hint(name, asked...))}
		}
		if s.Cohorts[name] != nil {
			return usageError{fmt.Errorf("--cohort: %s is in the study already", name)}
		}
		var definition json.RawMessage
		if err := readValue(cmd, path, &definition); err != nil {
			return err
		}
		if s.Cohorts == nil {
			s.Cohorts = make(map[string]json.RawMessage)
		}
		s.Cohorts[name] = definition
	}
	return nil
}

func newStudyPut() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put STUDY.SIGNED",
		Short: "Register a signed study at the hub",
		Long: `Register a version of a study at the hub, for good and for everybody to read. A
change needs another version. The name is yours from then on.`,
		Example: `  trialmesh study put study.signed --hub https://hub.example:7420 --root root.pem --token-file researcher.token`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := readEnvelope(cmd, args[0])
			if err != nil {
				return err
			}
			s, err := message.Replay[saved.Study](e, saved.KindStudy)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			changed, err := c.RegisterStudy(cmd.Context(), e)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"name": s.Name, "version": s.Version, "existed": !changed})
			}
			done := "registered %s\n"
			if !changed {
				done = "%s is registered already\n"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), done, s)
			return err
		},
	}
	return addHub(cmd)
}

func newStudyList() *cobra.Command {
	return newHubList("list", "List the newest studies", "study list", "STUDY\tREGISTERED\tTRIAL\tQUESTIONS\tTITLE", client.MaxStudies, (*client.Client).Studies,
		func(s client.StudyVersion) string {
			return fmt.Sprintf("%s@%s\t%s\t%s\t%d\t%s", s.Name, s.Version, s.Registered.Format(time.RFC3339), s.Trial, s.Questions, printable(s.Title))
		})
}

func newStudyShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME[@VERSION]",
		Short: "Show a study and the questions that were asked of it",
		Long:  "Show a version of a study, the newest if none is named. With --json it has the cohorts and what its author signed.",
		Example: `  trialmesh study show bp-outcomes --hub https://hub.example:7420 --root root.pem
  trialmesh study show bp-outcomes@1 --hub https://hub.example:7420 --root root.pem --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Study(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "study\t%s@%s\ntitle\t%s\ntrial\t%s\nauthor\t%s\ndigest\t%s\nledger\tregistered in entry %d\n",
				s.Name, s.Version, printable(s.Title), s.Trial, s.Author, s.Digest, s.LedgerIndex)
			for _, q := range s.Study.Questions {
				fmt.Fprintf(w, "question\t%s\t%s of %s\n", q.Name, q.Analysis.Kind, cmp.Or(q.Cohort, q.Dataset))
			}
			for _, q := range s.Asked {
				fmt.Fprintf(w, "asked\t%s\t%.12s, %s\n", q.Name, q.ID, q.State)
			}
			return w.Flush()
		},
	}
	return addHub(cmd)
}
