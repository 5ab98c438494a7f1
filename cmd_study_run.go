package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client/studyrun"
	"github.com/trialmesh/trialmesh/protocol/query"
	saved "github.com/trialmesh/trialmesh/protocol/study" // main has a function study
)

func newStudyRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run NAME@VERSION",
		Short: "Ask each question of a study once and collect the answers",
		Long: `Ask each question of a registered study, and collect the answers in a folder:
study.signed, and for each question NAME.signed, the request as you signed it, and
NAME.json with the answer. If it breaks off, the same command goes on where it was;
no question is asked twice. To ask one again, remove its two files. It ends with
status 1 if something was not released, or could not be asked yet.`,
		Example: `  trialmesh study run bp-outcomes@1 --wait --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token
  trialmesh study run bp-outcomes@1 --dir results/march --priority low --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token`,
		Args: args(cobra.ExactArgs(1)),
		RunE: runStudy,
	}
	addKey(cmd, "file with the researcher's signing key (required)")
	cmd.Flags().String("dir", "", "folder for the answers (default NAME@VERSION)")
	addLife(cmd, "deadline", 24*time.Hour, "of each question, after which the answer names who is missing, up to 24h")
	cmd.Flags().String("priority", string(query.Normal), "among your own questions: low, normal or high")
	cmd.Flags().Bool("wait", false, "wait until every question is answered")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was defined above
	}
	return addHub(cmd)
}

func runStudy(cmd *cobra.Command, args []string) error {
	if _, version, err := saved.ParseRef(args[0]); err != nil || version == "" {
		return usageError{errors.New("want NAME@VERSION, such as bp-outcomes@1: study list shows them")}
	}
	first, err := priority(cmd)
	if err != nil {
		return err
	}
	key, err := signingKey(cmd)
	if err != nil {
		return err
	}
	c, err := remoteHub(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Study(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	dir, _ := cmd.Flags().GetString("dir")
	deadline, _ := cmd.Flags().GetDuration("deadline")
	wait, _ := cmd.Flags().GetBool("wait")
	run, err := studyrun.Open(cmd.Context(), studyrun.Config{
		Dir: cmp.Or(dir, args[0]), Study: s.Envelope, Hub: c, Key: key, Rand: rand.Reader, Deadline: deadline, Priority: first, Wait: wait,
		Tell: func(s studyrun.Status) { tellStatus(cmd, s) },
	})
	if err != nil {
		return err
	}
	all, err := run.Go(cmd.Context())
	if err := errors.Join(err, run.Close()); err != nil {
		return fmt.Errorf("%d of %d questions are at the hub: %w", len(all), len(s.Study.Questions), err)
	}
	return summarize(cmd, all)
}

// tellStatus says on standard error how a run goes on.
func tellStatus(cmd *cobra.Command, s studyrun.Status) {
	what := string(s.State)
	if s.State == query.Open {
		what = "asked"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", s.Name, what)
}

// summarize prints where each question stands and fails if nothing was released of one.
func summarize(cmd *cobra.Command, all []studyrun.Status) error {
	withheld := 0
	for _, s := range all {
		if s.State != query.Open && s.State != query.Complete && s.State != query.Partial {
			withheld++
		}
		if wantsJSON(cmd) {
			if err := printJSON(cmd, s); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-20s %.12s %s\n", s.Name, s.ID, s.State); err != nil {
			return err
		}
	}
	if withheld > 0 {
		return fmt.Errorf("nothing was released of %s: the reasons are in the folder", counted(withheld, "question"))
	}
	return nil
}
