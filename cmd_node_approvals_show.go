package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// printApproval prints a request for approval, what matters most first: who asks what for
// and what was said before, what to look out for, the question, its concepts, what would
// leave, and the digests last.
func printApproval(cmd *cobra.Command, a client.Approval) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, a)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s\n", a.State)
	if a.Verdict != nil {
		fmt.Fprintf(w, "decided\t%s by %s\nthe node\t%s\n", when(a.Decided, "-"), a.Verdict.Issuer,
			map[bool]string{true: "has answered by it", false: "has not answered yet"}[a.Answered])
	}
	fmt.Fprintf(w, "gate\t%s\n", gateWords[a.Gate])
	fmt.Fprintf(w, "asked\t%s\nhub waits until\t%s%s\n", when(a.Asked, "-"), when(a.Until, "-"), left(a, time.Now()))
	fmt.Fprintf(w, "trial\t%s\nresearcher\t%s\npurpose\t%s\n", a.Trial, a.Researcher, strconv.Quote(a.Purpose))
	printBefore(w, a)
	fmt.Fprintf(w, "policy says\t%s\n", printable(a.Why))
	printTouched(w, a)
	for i, line := range strings.Split(strings.TrimSpace(a.Words), "\n") {
		fmt.Fprintf(w, "%s\t%s\n", []string{"question", ""}[min(i, 1)], printable(line))
	}
	printNamed(w, a.Named)
	printLeaving(w, a)
	fmt.Fprintf(w, "policy\t%s\napproval\t%s\nquestion id\t%s\n", a.Policy, a.ID, a.Query)
	if a.Verdict != nil {
		fmt.Fprintf(w, "verdict\t%s\n", a.Verdict.Digest())
	}
	return w.Flush()
}

var gateWords = map[string]string{"run": "before the question runs", "release": "before its numbers leave the site"}

// left says how long a question still waits.
func left(a client.Approval, now time.Time) string {
	if a.State != "waiting" {
		return ""
	}
	return ", for another " + a.Until.Sub(now).Round(time.Minute).String()
}

// printBefore prints what came before at the site.
func printBefore(w io.Writer, a client.Approval) {
	b := a.Before
	if b == nil {
		return
	}
	fmt.Fprintf(w, "asked before\t%s by this researcher, %d of them in the 30 days before\n", counted(b.Asked, "other question"), b.Lately)
	if len(b.Verdicts)+b.Passed+b.Denied == 0 {
		fmt.Fprintf(w, "decided before\tnobody decided about the same question here\n")
	}
	for _, v := range b.Verdicts {
		by := "another researcher"
		if v.Researcher == a.Researcher {
			by = "this researcher"
		}
		fmt.Fprintf(w, "decided before\tthe same of %s was %s %s on %s by %s: %s\n", by,
			map[bool]string{true: "approved", false: "refused"}[v.Approved], gateWords[v.Gate], when(v.At, "-"), identity.DID(v.Approver).Short(), printable(v.Reason))
	}
	if b.Passed > 0 {
		fmt.Fprintf(w, "decided before\tthe policy let the same pass without a person %s\n", counted(b.Passed, "time"))
	}
	if b.Denied > 0 {
		fmt.Fprintf(w, "decided before\tthe policy refused the same %s\n", counted(b.Denied, "time"))
	}
}

// printTouched prints what the question would touch, and what to look out for there.
func printTouched(w io.Writer, a client.Approval) {
	size := a.Size
	switch {
	case a.SizeNow != "":
		size = a.SizeNow + ", now"
	case size == "not counted":
		size += "; show --size counts them"
	}
	fmt.Fprintf(w, "persons here\t%s\n", size)
	whole := ""
	if a.AnyConcept {
		whole = "; in part whatever the concept"
	}
	fmt.Fprintf(w, "reads\t%s; %s named%s\n", strings.Join(a.Domains, ", "), counted(a.Concepts, "concept"), whole)
	if a.Otherwise > 0 {
		fmt.Fprintf(w, "look out\t! the researcher calls %s otherwise than this site does\n", counted(a.Otherwise, "concept"))
	}
	if a.Unknown > 0 {
		fmt.Fprintf(w, "look out\t? this site's vocabulary does not have %s\n", counted(a.Unknown, "concept"))
	}
}

// conceptsPrinted is how many concepts of a place are printed.
const conceptsPrinted = 20

// printNamed prints the concepts of a question by the site's vocabulary.
func printNamed(w io.Writer, places []client.ApprovalPlace) {
	for i, p := range places {
		name := ""
		if p.Name != "" {
			name = " " + strconv.Quote(p.Name)
		}
		reach := "comes to " + counted(p.Reach, "standard concept") + " here"
		if p.Refusal != "" {
			reach = printable(p.Refusal)
		}
		fmt.Fprintf(w, "%s\t%s%s: %s\n", []string{"concepts", ""}[min(i, 1)], p.What, name, reach)
		for _, c := range p.Concepts[:min(len(p.Concepts), conceptsPrinted)] {
			fmt.Fprintf(w, "\t%s\n", conceptLine(c))
		}
		if more := p.More + max(0, len(p.Concepts)-conceptsPrinted); more > 0 {
			fmt.Fprintf(w, "\t    and %d more\n", more)
		}
	}
}

// conceptLine says what a concept is to the site, and what the researcher calls it where
// that is something else.
func conceptLine(c client.ApprovalConcept) string {
	mark, text := " ", fmt.Sprintf("%s (%s, %s %s)", printable(c.Name), printable(c.Domain), printable(c.Vocabulary), printable(c.Code))
	switch {
	case !c.Known:
		mark, text = "?", "not in this site's vocabulary"
	case c.Otherwise:
		mark = "!"
	}
	if c.Excluded {
		text = "excluded: " + text
	}
	if c.Known && !c.Standard {
		text += ", not standard"
	}
	if c.Descendants {
		text += ", with everything below it"
	}
	if c.Mapped {
		text += ", with the source concepts that map to it"
	}
	if c.Theirs != "" && (c.Otherwise || !c.Known) {
		text += "; the researcher calls it " + strconv.Quote(c.Theirs)
	}
	return fmt.Sprintf("  %s %d %s", mark, c.ID, text)
}

// printLeaving prints what would leave the site.
func printLeaving(w io.Writer, a client.Approval) {
	for i, c := range a.Cells {
		name := strings.Join(c.Levels, ", ")
		if name == "" {
			name = "all"
		}
		switch {
		case len(c.Together) > 0:
			if i == 0 {
				fmt.Fprintf(w, "would leave\tof each round sums alone, which are masked: the hub learns their totals over the sites\n")
			}
			fmt.Fprintf(w, "\t%s\n", togetherWords(c))
		case c.Withheld:
			fmt.Fprintf(w, "would leave\t%s: nothing, it is withheld\n", name)
		case c.Mean != nil && c.SD != nil:
			fmt.Fprintf(w, "would leave\t%s: n %d, mean %.4f, sd %.4f\n", name, c.N, *c.Mean, *c.SD)
		default:
			fmt.Fprintf(w, "would leave\t%s: %d\n", name, c.N)
		}
	}
}

// togetherWords says over which columns and how many persons sums are taken.
func togetherWords(c client.ApprovalCell) string {
	columns, each := c.Together[0]+" alone", "a value of it"
	if n := len(c.Together); n > 1 {
		columns, each = strings.Join(c.Together[:n-1], ", ")+" and "+c.Together[n-1]+" together", "a value of each"
	}
	if c.Size != "" {
		return fmt.Sprintf("%s: %s persons here, who have %s", columns, c.Size, each)
	}
	text := fmt.Sprintf("%s: %s here, who have %s", columns, counted(int(c.N), "person"), each)
	if c.Omitted > 0 {
		text += fmt.Sprintf("; %d without are left out", c.Omitted)
	}
	return text
}

// briefly quotes the beginning of a text of the researcher's.
func briefly(text string) string {
	const most = 60 // characters
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strconv.Quote(text)
}
