package release

import (
	"context"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// RuleRate is the rule of a refusal because too much was asked lately. The sentence
// says from when on the question may be submitted again.
const RuleRate = "release.rate"

// Windows of the rates. They slide: a question counts for as long as that.
const (
	day  = 24 * time.Hour
	week = 7 * day
)

// rate refuses a question of which there were enough lately. Different questions
// count, each from when it was first decided on the data, whether answered or not.
func (d *decision) rate(ctx context.Context) error {
	p := d.q.Policy
	for _, r := range []struct {
		whose, column string
		value         any
		window        time.Duration
		most          int
	}{
		{"a researcher", "researcher", d.q.Researcher, day, p.ResearcherPerDay},
		{"a researcher", "researcher", d.q.Researcher, week, p.ResearcherPerWeek},
		{"a trial", "trial", d.q.Trial, day, p.TrialPerDay},
		{"a trial", "trial", d.q.Trial, week, p.TrialPerWeek},
	} {
		if r.most == 0 {
			continue
		}
		again, err := d.again(ctx, r.column, r.value, r.window, r.most)
		if err != nil {
			return err
		}
		if again.After(d.now) {
			return problem.Refusal(RuleRate, fmt.Sprintf("the node decides %d different questions of %s within %d days; submit this one again from %s",
				r.most, r.whose, int(r.window/day), again.UTC().Format(time.RFC3339)))
		}
	}
	return nil
}

// again returns when there is room for one question more than most within the window:
// when the last but most of the others leaves it. The zero time is now.
func (d *decision) again(ctx context.Context, column string, value any, window time.Duration, most int) (time.Time, error) {
	var first []int64 // seconds, the latest first
	err := d.tx.Each(ctx, `SELECT min(released_at) FROM release WHERE `+column+` = ? AND rule NOT IN (?, ?) AND NOT (question = ? AND limits = ?)
		GROUP BY question, limits HAVING min(released_at) > ? ORDER BY 1 DESC LIMIT ?`,
		[]any{value, ErrBudget.Rule, RuleRate, d.q.Same.String(), limits(d.q.Policy), d.now.Add(-window).Unix(), most},
		func(rows *sqldb.Rows) error {
			var at int64
			err := rows.Scan(&at)
			first = append(first, at)
			return err
		})
	if err != nil || len(first) < most {
		return time.Time{}, err
	}
	return time.Unix(first[most-1], 0).Add(window), nil
}
