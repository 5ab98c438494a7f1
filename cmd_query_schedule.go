package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	recurring "github.com/trialmesh/trialmesh/protocol/schedule"
)

// scheduleLife is how long the hub takes a signed schedule, or its cancellation.
const scheduleLife = time.Hour

func newQuerySchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule QUESTION",
		Short: "Sign a question for many times in advance, and have the hub ask it",
		Long: `Sign QUESTION, a file as for query submit, once for each time it is to be asked, and
register that at the hub under a name. The hub asks each occurrence when it is due. It cannot
ask earlier, nor more often: the hospitals would refuse. Times are UTC. --print shows them and
signs nothing.`,
		Example: `  trialmesh query schedule seen-monthly.json --cron "0 6 1 * *" --occurrences 12 --print
  trialmesh query schedule question.json --name seen-monthly --cron "0 6 1 * *" --occurrences 12 --first 2027-01-01 --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token
  trialmesh query schedule show seen-monthly --hub https://hub.example:7420 --root root.pem`,
		Args: args(cobra.ExactArgs(1)),
		RunE: scheduleQuery,
	}
	cmd.Flags().String("name", "", "of the schedule: lower-case letters, digits and dashes (default that of the file)")
	cmd.Flags().String("cron", "", `when, in UTC: minute hour day month weekday, such as "0 6 1 * *" (required)`)
	cmd.Flags().Int("occurrences", 0, fmt.Sprintf("how often, %d to %d (required)", recurring.MinOccurrences, recurring.MaxOccurrences))
	cmd.Flags().String("first", "", "date or RFC 3339 time before which nothing is due (default now)")
	cmd.Flags().Duration("deadline", time.Hour, "of each occurrence, after which the answer names who is missing, up to 336h, 14 days")
	cmd.Flags().Bool("print", false, "print when it would be asked, and sign nothing")
	addKey(cmd, "file with the researcher's signing key (required, but for --print)")
	for _, name := range []string{"cron", "occurrences"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	addHubFlags(cmd)
	cmd.AddCommand(newScheduleShow(), newScheduleCancel())
	return cmd
}

func scheduleQuery(cmd *cobra.Command, args []string) error {
	plan, err := readPlan(cmd, args[0])
	if err != nil {
		return err
	}
	if only, _ := cmd.Flags().GetBool("print"); only {
		return printDue(cmd, plan)
	}
	for _, name := range []string{"key", "hub"} {
		if !cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s is required, but for --print", name)}
		}
	}
	key, err := signingKey(cmd)
	if err != nil {
		return err
	}
	s, err := recurring.Sign(key, plan, rand.Reader)
	if err != nil {
		return err
	}
	e, err := message.Seal(key, recurring.KindSchedule, s, time.Now(), scheduleLife, rand.Reader)
	if err != nil {
		return err
	}
	c, err := remoteHub(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	changed, err := c.RegisterSchedule(cmd.Context(), e)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"name": plan.Name, "existed": !changed})
	}
	done := "registered %s\n"
	if !changed {
		done = "%s is registered already\n"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), done, plan.Name)
	return err
}

// readPlan returns the plan that the flags and a question's file make.
func readPlan(cmd *cobra.Command, path string) (recurring.Plan, error) {
	var p recurring.Plan
	if err := readValue(cmd, path, &p.Question); err != nil {
		return p, err
	}
	if err := check(p.Question); err != nil {
		return p, err
	}
	if p.Name, _ = cmd.Flags().GetString("name"); p.Name == "" {
		p.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if !query.PartName(p.Name) {
			return p, usageError{errors.New("--name: the name of the file is none for a schedule: give one of lower-case letters, digits and dashes")}
		}
	}
	p.Cron, _ = cmd.Flags().GetString("cron")
	p.Occurrences, _ = cmd.Flags().GetInt("occurrences")
	deadline, _ := cmd.Flags().GetDuration("deadline")
	p.DeadlineSeconds = int(deadline / time.Second)
	p.First = time.Now().UTC().Truncate(time.Second)
	if text, _ := cmd.Flags().GetString("first"); text != "" {
		var err error
		if p.First, err = time.Parse(time.DateOnly, text); err != nil {
			if p.First, err = time.Parse(time.RFC3339, text); err != nil {
				return p, usageError{errors.New("--first: a date such as 2027-01-01, or a time such as 2027-01-01T06:00:00Z")}
			}
		}
	}
	return p, p.Validate()
}

// printDue prints when a plan's occurrences are due.
func printDue(cmd *cobra.Command, p recurring.Plan) error {
	due, err := p.Due()
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"name": p.Name, "due": due})
	}
	for i, at := range due {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%3d  %s\n", i+1, at.Format("2006-01-02 15:04 Mon")); err != nil {
			return err
		}
	}
	return nil
}

func newQuerySchedules() *cobra.Command {
	return newHubList("schedules", "List the newest recurring questions", "query schedules", "SCHEDULE\tTRIAL\tANALYSIS\tCRON\tASKED\tMISSED\tOF\tSTATE\tNEXT",
		client.MaxSchedules, (*client.Client).Schedules, func(s client.ScheduleSummary) string {
			next := "-"
			if s.Next != nil {
				next = s.Next.Format(time.RFC3339)
			}
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s", s.Name, s.Trial, s.Kind, printable(s.Cron), s.Asked, s.Missed, s.Occurrences, s.State(), next)
		})
}

func newScheduleShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a recurring question and what became of each occurrence",
		Example: `  trialmesh query schedule show seen-monthly --hub https://hub.example:7420 --root root.pem`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Schedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "schedule\t%s\nstate\t%s\ntrial\t%s\nanalysis\t%s\npurpose\t%s\nresearcher\t%s\ncron\t%s\ndigest\t%s\nledger\tregistered in entry %d\n",
				s.Name, s.State(), s.Trial, s.Kind, printable(s.Request.Purpose), s.Researcher, printable(s.Cron), s.Digest, s.LedgerIndex)
			if s.Cancelled != nil {
				by, err := cancelledBy(cmd.Context(), c, s)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "cancelled\t%s\n", by)
			}
			for _, o := range s.Times {
				fmt.Fprintf(w, "%d\t%s\t%s\n", o.Number, o.Due.Format(time.RFC3339), became(o))
			}
			return w.Flush()
		},
	}
	return addHub(cmd)
}

// cancelledBy says who cancelled a schedule, when and why, by what they signed.
func cancelledBy(ctx context.Context, c *client.Client, s client.Schedule) (string, error) {
	signed, err := message.Replay[recurring.Cancellation](*s.Cancelled, recurring.KindCancellation)
	if err != nil {
		return "", fmt.Errorf("the cancellation of %s: %w", s.Name, err)
	}
	if signed.Schedule != s.Digest {
		return "", fmt.Errorf("the cancellation that the hub shows is not of %s", s.Name)
	}
	registered, err := c.Trial(ctx, s.Trial)
	if err != nil {
		return "", err
	}
	if err := signed.Check(s.Cancelled.Issuer, s.Researcher, registered.Design.Issuer); err != nil {
		return "", err
	}
	who := "the sponsor"
	if s.Cancelled.Issuer == s.Researcher {
		who = "the researcher"
	}
	text := fmt.Sprintf("by %s, %s, at %s", who, s.Cancelled.Issuer, s.Cancelled.Issued.Format(time.RFC3339))
	if signed.Reason != "" {
		text += ": " + printable(signed.Reason)
	}
	return text, nil
}

// became says in words what became of an occurrence.
func became(o client.Occurrence) string {
	text := string(o.State)
	if o.Query != nil {
		text += fmt.Sprintf(" as %.12s, %s", *o.Query, o.Question)
	}
	if o.Reason != "" {
		text += ": " + printable(o.Reason)
	}
	if o.Rule != "" {
		text += " (" + printable(o.Rule) + ")"
	}
	return text
}

func newScheduleCancel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel NAME",
		Short: "Cancel what is to come of a recurring question",
		Long: `Sign that a schedule is cancelled, as its researcher or as the sponsor of its trial, and
send that to the hub. What was asked stays; an occurrence that is still open goes on until
query cancel ends it.`,
		Example: `  trialmesh query schedule cancel seen-monthly --reason "the trial is over" --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := signingKey(cmd)
			if err != nil {
				return err
			}
			c, err := remoteHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Schedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			reason, _ := cmd.Flags().GetString("reason")
			e, err := message.Seal(key, recurring.KindCancellation, recurring.Cancellation{Schedule: s.Digest, Reason: reason}, time.Now(), scheduleLife, rand.Reader)
			if err != nil {
				return err
			}
			changed, err := c.CancelSchedule(cmd.Context(), s.Name, e)
			if err != nil {
				return err
			}
			return sayCancelled(cmd, "name", s.Name, changed)
		},
	}
	return addCancel(cmd)
}
