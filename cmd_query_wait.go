package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// pollTime is the longest a single request waits at the hub, and roundTime that for a
// question whose rounds are shown as they pass.
const (
	pollTime  = 30 * time.Second
	roundTime = time.Second
)

// showUntil waits, prints the question and fails if nothing was released. What happens
// meanwhile is shown on the standard error: as the hub's events tell it, or, if those
// break, as often as the question is asked for.
func showUntil(cmd *cobra.Command, c *client.Client, id, wait string, limit time.Duration, out output) error {
	end := time.Now().Add(limit)
	sites := sitesOf(cmd.Context(), c)
	line := newProgressLine(cmd.ErrOrStderr(), sites)
	if wait != "" {
		followQuestion(cmd.Context(), c, id, limit, line)
	}
	for poll := roundTime; ; {
		q, err := c.Question(cmd.Context(), id, wait, min(poll, max(time.Until(end), 0)))
		if err != nil {
			line.clear()
			if wait != "" && cmd.Context().Err() != nil {
				return fmt.Errorf("%w: question %.12s goes on, and query show %.12s --wait %s waits for it again", context.Cause(cmd.Context()), id, id, wait)
			}
			return err
		}
		if !q.Request.Analysis.Kind.InRounds() {
			poll = pollTime
		}
		there := wait == "" || q.Result != nil && (wait == client.WaitResult || q.ProofsDone)
		if !there && time.Now().Before(end) {
			line.show(progressFrom(q))
			continue
		}
		line.clear()
		if err := out.print(cmd, q, sites); err != nil {
			return errors.Join(err, out.withheld(q))
		}
		if !there {
			return fmt.Errorf("not there after %s; ask again with query show", limit)
		}
		return out.withheld(q)
	}
}

// followQuestion shows a question's progress until it is over, the time is, or the hub's
// events break.
func followQuestion(ctx context.Context, c *client.Client, id string, limit time.Duration, line *progressLine) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for p, err := range c.Progress(ctx, id) {
		if err != nil {
			return // the question itself is asked for from here on, and says what is wrong
		}
		line.show(p)
	}
}

// progressFrom is what a question says by itself of its progress.
func progressFrom(q client.Question) query.Progress {
	p := query.Progress{Query: q.ID, State: q.State, Round: q.Rounds, Deadline: q.Deadline}
	for _, node := range q.Waiting {
		until := waitsUntil(q)
		p.WaitsUntil = &until
		p.Nodes = append(p.Nodes, query.NodeProgress{Node: node, State: query.NodeWaiting})
	}
	return p
}

// waitsUntil is how long nodes' people have to approve; a hub of before only tells the
// deadline.
func waitsUntil(q client.Question) time.Time {
	if q.WaitsUntil.IsZero() {
		return q.Deadline
	}
	return q.WaitsUntil
}

// progressLine shows progress: on a terminal in one place, elsewhere in lines that leave out
// what changes with every answer, and of rounds have one in a while.
type progressLine struct {
	out      io.Writer
	terminal bool
	sites    report.Sites
	now      func() time.Time

	shown   string
	parties string    // what the last line said of nodes
	at      time.Time // when it was written
}

// between is the least time from a line to another that differs by its round alone.
const between = 5 * time.Second

func newProgressLine(out io.Writer, sites report.Sites) *progressLine {
	file, is := out.(*os.File)
	if is {
		info, err := file.Stat()
		is = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return &progressLine{out: out, terminal: is, sites: sites, now: time.Now}
}

// eraseLine returns to the beginning of a terminal's line and erases it.
const eraseLine = "\r\x1b[K"

func (l *progressLine) show(p query.Progress) {
	parties := partyWords(p, l.sites)
	text := strings.Join(append(progressWords(p, l.terminal), parties...), "; ")
	if p.State.Final() || text == l.shown {
		return
	}
	if l.terminal {
		l.shown = text
		fmt.Fprint(l.out, eraseLine+text)
		return
	}
	now, said := l.now(), strings.Join(parties, "; ")
	if text == "" || said == l.parties && now.Sub(l.at) < between {
		return
	}
	l.shown, l.parties, l.at = text, said, now
	fmt.Fprintln(l.out, text)
}

// clear makes room for what comes after.
func (l *progressLine) clear() {
	if l.terminal && l.shown != "" {
		fmt.Fprint(l.out, eraseLine)
		l.shown = ""
	}
}

// stepWords say what nodes are asked to do.
var stepWords = map[query.Step]string{
	query.StepAsk: "evaluating", query.StepAdvance: "next round", query.StepMask: "sending masked numbers",
	query.StepConfirm: "agreeing on the sum", query.StepUnmask: "taking the masks off",
}

// progressWords says how far a question is; full also says what changes with every answer.
func progressWords(p query.Progress, full bool) (parts []string) {
	switch {
	case p.MaxRounds > 0:
		parts = append(parts, fmt.Sprintf("round %d of at most %d", p.Round, p.MaxRounds))
	case p.Round > 0:
		parts = append(parts, fmt.Sprintf("round %d", p.Round))
	}
	if !full {
		return parts
	}
	plain, _ := p.Step.Split()
	if words := stepWords[plain]; words != "" {
		parts = append(parts, words)
	}
	answered := 0
	for _, n := range p.Nodes {
		if n.State == query.NodeAnswered {
			answered++
		}
	}
	return append(parts, fmt.Sprintf("%d of %s answered", answered, counted(len(p.Nodes), "node")))
}

// partyWords says of each node what keeps it from answering.
func partyWords(p query.Progress, sites report.Sites) (parts []string) {
	for _, n := range p.Nodes {
		name := sites.Name(n.Node)
		switch n.State {
		case query.NodeWaiting:
			parts = append(parts, name+" waits for approval"+untilWords(p.WaitsUntil))
		case query.NodeAway:
			parts = append(parts, name+" is away")
		case query.NodeRefused:
			parts = append(parts, fmt.Sprintf("%s refused (%s)", name, n.Rule))
		case query.NodeMissing:
			parts = append(parts, fmt.Sprintf("%s is missing at step %s", name, n.Step))
		}
	}
	return parts
}

func untilWords(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", until " + t.Format(time.RFC3339)
}
