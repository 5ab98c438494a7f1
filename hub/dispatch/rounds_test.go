package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// relapses returns the people of three sites, 80 at each, some without a pressure.
func relapses() [][]peertest.Person {
	var all [][]peertest.Person
	for site := range 3 {
		var people []peertest.Person
		for i := range 80 {
			g := 80*site + i
			p := peertest.Person{Sex: peertest.Female, Born: 1940 + g*17%50, Value: 100 + float64(g*29%61)/2}
			if i%2 == 1 {
				p.Sex = peertest.Male
			}
			p.Relapsed = g*g*7%23+int(p.Value)-115+(1990-p.Born)/5 > 14
			if i%19 == 7 {
				p.Value = 0
			}
			people = append(people, p)
		}
		all = append(all, people)
	}
	return all
}

// fitted is what R 4.2.2 says of these people together, with age = 2024 - Born:
// summary(glm(relapse ~ age + sex + pressure, binomial)). Nobody is of another sex.
var fitted = []query.Coefficient{
	{Name: "(Intercept)", Estimate: number(-31.947121711554036), SE: number(4.0328437310563832)},
	{Name: "age", Estimate: number(0.053623491178284355), SE: number(0.01481057405176589)},
	{Name: "sexmale", Estimate: number(-0.14746879622751483), SE: number(0.39061145124645241)},
	{Name: "pressure", Estimate: number(0.25587366179982385), SE: number(0.031758421716109694)},
}

func number(v float64) *float64 { return &v }

func requireFitted(t *testing.T, r query.Result) {
	t.Helper()
	require.Equal(t, query.Complete, r.State, "%s %+v", r.Reason, r.Refused)
	require.Len(t, r.Answered, 3)
	require.Empty(t, r.Cells)
	m := r.Regression
	require.NotNil(t, m)
	require.InEpsilon(t, 167.95960842512099, m.Deviance, 1e-8)
	require.InEpsilon(t, 309.71212929213573, m.NullDeviance, 1e-8)
	require.InEpsilon(t, 175.95960842512099, *m.AIC, 1e-8)
	require.EqualValues(t, 224, m.DF)
	require.EqualValues(t, 228, m.N)
	require.EqualValues(t, 12, *m.Omitted)
	require.Equal(t, 5, m.Iterations)
	require.Equal(t, 7, r.Rounds, "one to scale the columns, one for each fit, one to see that the last was enough")
	require.Len(t, m.Coefficients, len(fitted))
	for i, want := range fitted {
		got := m.Coefficients[i]
		require.Equal(t, want.Name, got.Name)
		require.InEpsilon(t, *want.Estimate, *got.Estimate, 1e-8)
		require.InEpsilon(t, *want.SE, *got.SE, 1e-8)
	}
}

// TestRegressionIsTheOneOfR: a regression over three sites is R's on their people together.
func TestRegressionIsTheOneOfR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		w.run(t)
		id := w.put(t, w.trial.Model(), time.Minute)
		first := w.result(t, id)
		requireFitted(t, first)
		w.proofs(t, id, 3)
		again := w.trial.Model()
		again.Purpose = "the same, for another reason"
		second := w.result(t, w.put(t, again, time.Minute))
		require.Equal(t, first.Regression, second.Regression)
		require.Equal(t, id, *second.Repeats)

		wide := w.trial.Model()
		wide.Analysis.GLM.Formula = "relapse ~ (age + sqrt(age) + pressure + sqrt(pressure) + log(pressure) + age:pressure + age:sqrt(pressure))*sex"
		refused := w.result(t, w.put(t, wide, 10*time.Second))
		require.Equal(t, query.Withheld, refused.State)
		require.Contains(t, refused.Reason, "release.parameters", "ten persons for each of 24 parameters")
		require.NotEmpty(t, refused.Refused)
		w.replay(t)
	})
}

// TestHubThatDiesGoesOnWithTheNextRound stops the hub at proposals all over the rounds,
// before or after they took hold.
func TestHubThatDiesGoesOnWithTheNextRound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		id := w.put(t, w.trial.Model(), time.Minute)
		for i := range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			log := &dyingLog{fakeLog: w.log, die: cancel, left: 4, after: i%2 == 0}
			require.NoError(t, w.dispatcher(t, log).Run(ctx))
		}
		w.run(t)
		requireFitted(t, w.result(t, id))
		w.replay(t)
	})
}

// TestNodeLostInALaterRound: the answer is that there is none, and who is to come back.
func TestNodeLostInALaterRound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		gone := false
		w.intercept(2, func(task query.Task) bool {
			gone = gone || task.Step == query.StepMask.In(3)
			return !gone
		})
		w.run(t)
		r := w.result(t, w.put(t, w.trial.Model(), 10*time.Second))
		require.Equal(t, query.Withheld, r.State)
		require.Contains(t, r.Reason, "stopped answering in round 3")
		require.Equal(t, []query.Missing{{Node: w.sites[2].Key.DID(), Step: query.StepMask.In(3)}}, r.Missing)
		require.Nil(t, r.Regression)

		// Back again, it misses only the end of two rounds. Its numbers are in them, and it
		// catches up.
		w.intercept(2, func(task query.Task) bool {
			return task.Step != query.StepUnmask && task.Step != query.StepUnmask.In(4)
		})
		again := w.trial.Model()
		again.Purpose = "the same, once all are back"
		requireFitted(t, w.result(t, w.put(t, again, time.Minute)))
	})
}

// TestHubCannotChooseTheState: a node that is asked for a sum at another state than follows
// from the sum before refuses, whatever of the message was changed.
func TestHubCannotChooseTheState(t *testing.T) {
	changes := map[string]func(a *query.Advance){
		"coefficients": func(a *query.Advance) {
			a.State = []byte(strings.Replace(string(a.State), `"coefficients":[0,0`, `"coefficients":[0,9`, 1))
		},
		"another order": func(a *query.Advance) { a.Masked[0], a.Masked[1] = a.Masked[1], a.Masked[0] },
		"a site less":   func(a *query.Advance) { a.Masked = a.Masked[1:] },
		"a forged vector": func(a *query.Advance) {
			a.Masked[0].Body = []byte(strings.Replace(string(a.Masked[0].Body), `"vector":"`, `"vector":"AAAA`, 1))
		},
		"reveals of another step": func(a *query.Advance) { a.Reveals = a.Masked },
		"no reveals":              func(a *query.Advance) { a.Reveals = nil },
	}
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		take := w.sites[0].Peer.Take
		tried := 0
		w.ends[0].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
			var task query.Task
			if err := json.Unmarshal(raw, &task); err != nil {
				return nil, err
			}
			if task.Step == query.StepAdvance.In(2) {
				for name, change := range changes {
					var body query.Advance
					if err := json.Unmarshal(task.Body, &body); err != nil {
						return nil, err
					}
					change(&body)
					if rule := w.refusalOf(t, take, from, task, body); rule != "peer.state" {
						return nil, fmt.Errorf("%s: refused by rule %q", name, rule)
					}
					tried++
				}
			}
			return take(ctx, from, raw)
		})
		w.run(t)
		requireFitted(t, w.result(t, w.put(t, w.trial.Model(), time.Minute)))
		require.Equal(t, len(changes), tried, "and what was refused changed nothing")
	})
}

// refusalOf returns the rule by which a node refuses a task with another body.
func (w *world) refusalOf(t *testing.T, take func(context.Context, identity.DID, []byte) ([]byte, error), from identity.DID, task query.Task, body any) string {
	t.Helper()
	var err error
	task.Body, err = json.Marshal(body)
	require.NoError(t, err)
	raw, err := json.Marshal(task)
	require.NoError(t, err)
	reply, err := take(t.Context(), from, raw)
	require.NoError(t, err)
	envelope, err := message.Parse(reply)
	require.NoError(t, err)
	answer, err := message.Open[query.Answer](envelope, query.KindAnswer, time.Now())
	require.NoError(t, err)
	if answer.Refusal == nil {
		return ""
	}
	return answer.Refusal.Rule
}
