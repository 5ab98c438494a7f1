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
	line := newProgressLine(cmd.ErrOrStderr())
	if wait != "" {
		followQuestion(cmd.Context(), c, id, limit, line)
	}
	for poll := roundTime; ; {
		q, err := c.Question(cmd.Context(), id, wait, min(poll, max(time.Until(end), 0)))
		if err != nil {
			line.clear()
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
		if err := out.print(cmd, q); err != nil {
			return err
		}
		switch {
		case !there:
			return fmt.Errorf("not there after %s; ask again with query show", limit)
		case q.Result != nil && !q.Result.State.Released():
			return errors.New("nothing was released: " + q.Result.Reason)
		}
		return nil
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
// what changes with every answer.
type progressLine struct {
	out      io.Writer
	terminal bool
	shown    string
}

func newProgressLine(out io.Writer) *progressLine {
	file, is := out.(*os.File)
	if is {
		info, err := file.Stat()
		is = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return &progressLine{out: out, terminal: is}
}

// eraseLine returns to the beginning of a terminal's line and erases it.
const eraseLine = "\r\x1b[K"

func (l *progressLine) show(p query.Progress) {
	text := progressWords(p, l.terminal)
	if p.State.Final() || text == l.shown {
		return
	}
	l.shown = text
	switch {
	case l.terminal:
		fmt.Fprint(l.out, eraseLine+text)
	case text != "":
		fmt.Fprintln(l.out, text)
	}
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
	query.StepAsk: "evaluating", query.StepAdvance: "next round", query.StepShare: "sharing keys", query.StepMask: "sending masked numbers",
	query.StepConfirm: "agreeing on the sum", query.StepUnmask: "taking the masks off",
}

// progressWords says how far a question is, in one line; full also says what changes with
// every answer.
func progressWords(p query.Progress, full bool) string {
	var parts []string
	switch {
	case p.MaxRounds > 0:
		parts = append(parts, fmt.Sprintf("round %d of at most %d", p.Round, p.MaxRounds))
	case p.Round > 0:
		parts = append(parts, fmt.Sprintf("round %d", p.Round))
	}
	answered := 0
	var others []string
	for _, n := range p.Nodes {
		name := n.Node.Short()
		switch n.State {
		case query.NodeAnswered:
			answered++
		case query.NodeWaiting:
			others = append(others, name+" waits for approval"+untilWords(p.WaitsUntil))
		case query.NodeAway:
			others = append(others, name+" is away")
		case query.NodeRefused:
			others = append(others, fmt.Sprintf("%s refused (%s)", name, n.Rule))
		case query.NodeMissing:
			others = append(others, fmt.Sprintf("%s is missing at step %s", name, n.Step))
		}
	}
	if full {
		plain, _ := p.Step.Split()
		if words := stepWords[plain]; words != "" {
			parts = append(parts, words)
		}
		parts = append(parts, fmt.Sprintf("%d of %s answered", answered, counted(len(p.Nodes), "node")))
	}
	return strings.Join(append(parts, others...), "; ")
}

func untilWords(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ", until " + t.Format(time.RFC3339)
}
