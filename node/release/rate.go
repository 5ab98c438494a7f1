package release

import (
	"context"
	"fmt"
	"slices"
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
//
// A question dated after now was decided under a clock that has been set back since. It counts
// from the first decision since then, and is not forgotten: when the clock comes to its date it
// counts from that. So a clock set back, and one set right again, makes no room.
func (d *decision) again(ctx context.Context, column string, value any, window time.Duration, most int) (time.Time, error) {
	var dates []int64 // seconds
	now, since := d.now.Unix(), d.now.Add(-window).Unix()
	err := d.tx.Each(ctx, `SELECT CASE WHEN first <= ? THEN first ELSE
			coalesce((SELECT o.released_at FROM release o WHERE o.sequence > f.sequence AND o.released_at <= ? ORDER BY o.sequence LIMIT 1), ?) END
		FROM (SELECT min(released_at) AS first, min(sequence) AS sequence FROM release
			WHERE `+column+` = ? AND rule NOT IN (?, ?) AND NOT (question = ? AND limits = ?)
			GROUP BY question, limits HAVING min(released_at) > ?) AS f`,
		[]any{now, now, now, value, ErrBudget.Rule, RuleRate, d.q.Same.String(), limits(d.q.Policy), since},
		func(rows *sqldb.Rows) error {
			var at int64
			if err := rows.Scan(&at); err != nil {
				return err
			}
			if at > since {
				dates = append(dates, at)
			}
			return nil
		})
	if err != nil || len(dates) < most {
		return time.Time{}, err
	}
	slices.Sort(dates)
	return time.Unix(dates[len(dates)-most], 0).Add(window), nil
}
