package release_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, db *sqldb.DB) *release.Gate {
	t.Helper()
	gate, err := release.Open(context.Background(), db)
	require.NoError(t, err)
	return gate
}

// ids returns the persons from first to last, both included.
func ids(first, last int64) []omop.PersonID {
	var list []omop.PersonID
	for n := first; n <= last; n++ {
		var p omop.PersonID
		if err := p.Scan(n); err != nil {
			panic(err)
		}
		list = append(list, p)
	}
	return list
}

// count is the answer to a count whose cells are the given sets.
func count(cells ...[]omop.PersonID) release.Answer {
	a := release.Answer{Measure: "persons", Sets: map[string][][]omop.PersonID{"persons": cells}}
	for _, persons := range cells {
		a.Table.Cells = append(a.Table.Cells, analysis.Cell{N: int64(len(persons))})
		a.Used = append(a.Used, persons...)
	}
	return a
}

// ask returns a question, asked for the first time, about something.
func ask(about string) release.Question {
	q := release.Question{Same: message.Sum([]byte(about)), Trial: "glucose-1", Researcher: "did:key:zR", Policy: disclosure.Default()}
	_, _ = rand.Read(q.ID[:])
	return q
}

// cell is a released cell of a count.
type cell struct{ n, withheld uint64 }

func cells(r release.Released) []cell {
	var list []cell
	for w := r.Words(); len(w) > 0; w = w[2:] {
		list = append(list, cell{w[0], w[1]})
	}
	return list
}

func TestSmallCellsAndRounding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		persons int64
		want    cell
	}{
		"nobody":                            {0, cell{0, 0}},
		"one":                               {1, cell{0, 1}},
		"one below the threshold":           {10, cell{0, 1}},
		"rounds to less than the threshold": {12, cell{0, 1}},
		"rounds up":                         {13, cell{15, 0}},
		"rounds down":                       {17, cell{15, 0}},
		"is a multiple":                     {20, cell{20, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			r, err := gate.Release(t.Context(), ask("q"), count(ids(1, c.persons), ids(1000, 1049)), now)
			require.NoError(t, err)
			require.Equal(t, []cell{c.want, {50, 0}}, cells(r))
		})
	}
}

func TestAnswerWithoutAnyReleasableCell(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	for i, a := range []release.Answer{count(nil, nil), count(ids(1, 10), nil), count(ids(1, 10), ids(11, 20))} {
		_, err := gate.Release(t.Context(), ask(fmt.Sprint(i)), a, now)
		require.ErrorIs(t, err, release.ErrCells)
	}
	summary, err := gate.Summary(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"release.cell-threshold": 3}, summary)
}

func TestOneDominantPersonHidesACell(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	a := release.Answer{Used: ids(1, 40), Measure: "concept 1", Sets: map[string][][]omop.PersonID{"concept 1": {ids(1, 20), ids(21, 40)}}}
	a.Table.Cells = []analysis.Cell{
		{N: 20, Sums: []analysis.Sum{{Coarse: 5}}, Largest: 0.91},
		{N: 20, Sums: []analysis.Sum{{Coarse: 7}}, Largest: 0.90},
	}
	r, err := gate.Release(t.Context(), ask("mean"), a, now)
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 1, 0, 0, 20, 0, 7, 0}, r.Words())
}

// TestAttacks are the attacks that a federation has to withstand and that reach
// the gate: (b) a cell that singles one person out, (c) a subset that differs
// by one or two persons, (d) the same question many times, (e) the same
// question before and after a restart, (f) another label on the same question.
func TestAttacks(t *testing.T) {
	t.Parallel()
	t.Run("b: one person in a cell", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		r, err := gate.Release(t.Context(), ask("one-hot"), count(ids(1, 1), ids(2, 100)), now)
		require.NoError(t, err)
		require.Equal(t, cell{0, 1}, cells(r)[0])
		_, err = gate.Release(t.Context(), ask("everybody"), count(ids(1, 100)), now)
		require.ErrorIs(t, err, release.ErrDifference, "all minus the others would be the one")
	})
	t.Run("c: one or two persons less", func(t *testing.T) {
		t.Parallel()
		for gone := int64(1); gone <= 11; gone++ {
			gate := open(t, sqltest.SQLite(t))
			_, err := gate.Release(t.Context(), ask("all"), count(ids(1, 100)), now)
			require.NoError(t, err)
			_, err = gate.Release(t.Context(), ask("subset"), count(ids(1, 100-gone)), now)
			if gone < 11 {
				require.ErrorIs(t, err, release.ErrDifference)
			} else {
				require.NoError(t, err)
			}
		}
	})
	t.Run("c: the other way round, through a cell", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		_, err := gate.Release(t.Context(), ask("women"), count(ids(1, 50)), now)
		require.NoError(t, err)
		r, err := gate.Release(t.Context(), ask("women over 40, others"), count(ids(1, 48), ids(100, 200)), now)
		require.NoError(t, err)
		require.Equal(t, []cell{{0, 1}, {100, 0}}, cells(r), "all women less those over 40 would be two")
	})
	t.Run("c: through the union of two cells", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		_, err := gate.Release(t.Context(), ask("all"), count(ids(1, 100)), now)
		require.NoError(t, err)
		r, err := gate.Release(t.Context(), ask("by sex"), count(ids(1, 50), ids(51, 98)), now)
		require.NoError(t, err)
		require.Equal(t, []cell{{0, 1}, {50, 0}}, cells(r), "of both, two persons would be left of all")
		_, err = gate.Release(t.Context(), ask("women"), count(ids(1, 50)), now)
		require.ErrorIs(t, err, release.ErrDifference)
	})
	t.Run("c: by another researcher of another trial", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		_, err := gate.Release(t.Context(), ask("all"), count(ids(1, 100)), now)
		require.NoError(t, err)
		q := ask("subset")
		q.Trial, q.Researcher = "another", "did:key:zOther"
		_, err = gate.Release(t.Context(), q, count(ids(1, 99)), now)
		require.ErrorIs(t, err, release.ErrDifference)
	})
	t.Run("c: swapping persons", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		_, err := gate.Release(t.Context(), ask("all"), count(ids(1, 100)), now)
		require.NoError(t, err)
		_, err = gate.Release(t.Context(), ask("all but five, and five others"), count(ids(6, 105)), now)
		require.ErrorIs(t, err, release.ErrDifference, "five out and five in differ by ten")
		_, err = gate.Release(t.Context(), ask("all but six, and six others"), count(ids(7, 106)), now)
		require.NoError(t, err)
	})
	t.Run("c: two cohorts and either of them", func(t *testing.T) {
		t.Parallel()
		for _, order := range [][]release.Answer{
			{count(ids(1, 50)), count(ids(50, 99)), count(ids(1, 99))},
			{count(ids(1, 99)), count(ids(50, 99)), count(ids(1, 50))},
		} {
			gate := open(t, sqltest.SQLite(t))
			for i, a := range order {
				_, err := gate.Release(t.Context(), ask(fmt.Sprint(i)), a, now)
				if i < 2 {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, release.ErrDifference, "X and Y less X or Y is the one in both")
				}
			}
		}
	})
	t.Run("c: over the threshold by one person", func(t *testing.T) {
		t.Parallel()
		for _, order := range [][]release.Answer{
			{count(ids(1, 12), ids(100, 150)), count(ids(1, 13))},
			{count(ids(1, 13)), count(ids(1, 12), ids(100, 150))},
			{count(ids(1, 12)), count(ids(1, 13))},
		} {
			gate := open(t, sqltest.SQLite(t))
			_, _ = gate.Release(t.Context(), ask("first"), order[0], now)
			_, err := gate.Release(t.Context(), ask("second"), order[1], now)
			require.ErrorIs(t, err, release.ErrNear, "one is withheld and the other is not because of one person")
		}
	})
	t.Run("d, f: again and again", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		first, err := gate.Release(t.Context(), ask("q"), count(ids(1, 33), ids(40, 80)), now)
		require.NoError(t, err)
		for range 7 {
			q := ask("q")
			q.Researcher = "did:key:zAnother"
			again, err := gate.Release(t.Context(), q, count(ids(1, 33), ids(40, 80)), now)
			require.NoError(t, err)
			require.Equal(t, first.Words(), again.Words())
		}
	})
	t.Run("e: before and after a restart", func(t *testing.T) {
		t.Parallel()
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "node.db")
		db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: dsn})
		require.NoError(t, err)
		q := ask("q")
		first, err := open(t, db).Release(t.Context(), q, count(ids(1, 33)), now)
		require.NoError(t, err)
		small := ask("small")
		_, err = open(t, db).Release(t.Context(), small, count(ids(1, 5)), now)
		require.ErrorIs(t, err, release.ErrCells)
		require.NoError(t, db.Close())

		gate := open(t, sqltest.Open(t, dsn))
		same, err := gate.Release(t.Context(), q, count(ids(1, 90)), now)
		require.NoError(t, err)
		require.Equal(t, first.Words(), same.Words(), "a question keeps its decision, whatever came since")
		_, err = gate.Release(t.Context(), small, count(ids(1, 90)), now)
		require.ErrorIs(t, err, release.ErrCells, "a refusal too")
		again, err := gate.Release(t.Context(), ask("q"), count(ids(1, 40)), now)
		require.NoError(t, err)
		require.Equal(t, first.Words(), again.Words(), "seven more are too few for a new answer")
		_, err = gate.Release(t.Context(), ask("other"), count(ids(1, 35)), now)
		require.ErrorIs(t, err, release.ErrDifference)
	})
}

// TestLimitsAreNoOracle: a hub that may choose limits for each question cannot
// read a count off where it begins to be shown, or out of two roundings.
func TestLimitsAreNoOracle(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*disclosure.Policy){
		"higher threshold":   func(p *disclosure.Policy) { p.MinCell = 52 },
		"another rounding":   func(p *disclosure.Policy) { p.Rounding = 7 },
		"another share":      func(p *disclosure.Policy) { p.MaxShare = 80 },
		"another difference": func(p *disclosure.Policy) { p.MinDifference = 20 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, about := range []string{"q", "in other words"} {
				usual, other := ask("q"), ask(about)
				change(&other.Policy)
				for _, order := range [][]release.Question{{usual, other}, {other, usual}} {
					gate := open(t, sqltest.SQLite(t))
					_, _ = gate.Release(t.Context(), order[0], count(ids(1, 50)), now)
					_, err := gate.Release(t.Context(), order[1], count(ids(1, 50)), now)
					require.ErrorIs(t, err, release.ErrLimits)
				}
			}
		})
	}
	t.Run("thresholds over which nothing is shown", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		q := ask("q")
		q.Policy.MinCell = 60
		_, err := gate.Release(t.Context(), q, count(ids(1, 50)), now)
		require.ErrorIs(t, err, release.ErrCells)
		q = ask("q")
		q.Policy.MinCell = 55
		_, err = gate.Release(t.Context(), q, count(ids(2, 50)), now)
		require.ErrorIs(t, err, release.ErrLimits, "nearly the same persons")
		q = ask("q")
		q.Policy.MinCell = 60
		_, err = gate.Release(t.Context(), q, count(ids(1, 50)), now)
		require.ErrorIs(t, err, release.ErrCells, "the same limits tell the same")
	})
	t.Run("what shows nothing may change", func(t *testing.T) {
		t.Parallel()
		gate := open(t, sqltest.SQLite(t))
		first, err := gate.Release(t.Context(), ask("q"), count(ids(1, 50)), now)
		require.NoError(t, err)
		q := ask("q")
		q.Policy.MinSites, q.Policy.MaxQuestions = 4, 50
		again, err := gate.Release(t.Context(), q, count(ids(1, 52)), now)
		require.NoError(t, err)
		require.Equal(t, first.Words(), again.Words())
	})
}

// TestRepeatsWithinASecond repeat the newest answer, in whatever order names sort.
func TestRepeatsWithinASecond(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		for last := int64(50); last <= 400; last += 50 {
			_, err := gate.Release(t.Context(), ask("q"), count(ids(1, last)), now)
			require.NoError(t, err)
			again, err := gate.Release(t.Context(), ask("q"), count(ids(1, last)), now)
			require.NoError(t, err)
			require.Equal(t, []cell{{uint64(last), 0}}, cells(again))
		}
	})
}

// TestSumsOverNearlyTheSameSites would leave the numbers of a few sites.
func TestSumsOverNearlyTheSameSites(t *testing.T) {
	t.Parallel()
	type asked struct {
		about  string
		answer release.Answer
		sites  []identity.DID
	}
	mean := func(cells ...[]omop.PersonID) release.Answer {
		a := count(cells...)
		a.Measure, a.Sets["concept 1"] = "concept 1", a.Sets["persons"]
		return a
	}
	three, four := []identity.DID{"a", "b", "c"}, []identity.DID{"d", "a", "b", "c"}
	seven := []identity.DID{"a", "b", "c", "d", "e", "f", "g"}
	first := asked{"q", count(ids(1, 50)), three}
	for name, c := range map[string]struct {
		second asked
		want   error
	}{
		"the same sites":                 {asked{"q", count(ids(1, 50)), []identity.DID{"c", "b", "a"}}, nil},
		"one more":                       {asked{"q", count(ids(1, 50)), four}, release.ErrSites},
		"one more, repeated with others": {asked{"q", count(ids(1, 55)), four}, release.ErrSites},
		"one more, in other words":       {asked{"other", count(ids(1, 50)), four}, release.ErrSites},
		"one more, broken down":          {asked{"by sex", count(ids(1, 25), ids(26, 50)), four}, release.ErrSites},
		"four more":                      {asked{"q", count(ids(1, 50)), seven}, release.ErrSites},
		"two others for two":             {asked{"q", count(ids(1, 50)), []identity.DID{"a", "b", "e", "f"}}, release.ErrSites},
		"one more, of other persons":     {asked{"other", count(ids(1, 61)), four}, nil},
		"one more, of another measure":   {asked{"mean", mean(ids(1, 50)), four}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
				gate := open(t, db)
				sum := func(x asked) error {
					q := ask(x.about)
					_, err := gate.Release(t.Context(), q, x.answer, now)
					require.NoError(t, err)
					if err := gate.Sum(t.Context(), q.ID, x.sites); err != nil {
						return err
					}
					require.NoError(t, gate.Sum(t.Context(), q.ID, x.sites), "asked again, the answer is the same")
					return nil
				}
				require.NoError(t, sum(first))
				if c.want == nil {
					require.NoError(t, sum(c.second))
				} else {
					require.ErrorIs(t, sum(c.second), c.want)
				}
			})
		})
	}
}

func TestRepeatedQuestion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later []omop.PersonID
		want  error
		new   bool
	}{
		"nobody came or went":          {ids(1, 50), nil, false},
		"ten came":                     {ids(1, 60), nil, false},
		"eleven came":                  {ids(1, 61), nil, true},
		"one went":                     {ids(2, 50), release.ErrChanged, false},
		"one went, nine came":          {ids(2, 59), release.ErrChanged, false},
		"five went, six came":          {ids(6, 56), nil, true},
		"eleven went":                  {ids(12, 50), nil, true},
		"everybody went, others came":  {ids(100, 150), nil, true},
		"all went and nobody is there": {nil, release.ErrCells, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			first, err := gate.Release(t.Context(), ask("q"), count(ids(1, 50)), now)
			require.NoError(t, err)
			r, err := gate.Release(t.Context(), ask("q"), count(c.later), now.Add(time.Hour))
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				return
			}
			require.NoError(t, err)
			if c.new {
				require.Equal(t, c.later, r.Used())
			} else {
				require.Equal(t, first.Words(), r.Words())
				require.Equal(t, ids(1, 50), r.Used(), "the proof is about those in the numbers")
			}
		})
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	release1 := func(about string, change func(*release.Question), a release.Answer) error {
		q := ask(about)
		q.Policy.MaxQuestions = 3
		change(&q)
		_, err := gate.Release(t.Context(), q, a, now)
		return err
	}
	same := func(*release.Question) {}
	require.NoError(t, release1("one", same, count(ids(1, 100))))
	require.NoError(t, release1("two", same, count(ids(101, 200))))
	require.ErrorIs(t, release1("three", same, count(ids(201, 205))), release.ErrCells, "a refusal counts")
	require.NoError(t, release1("one", same, count(ids(1, 100))), "a repeat does not")
	require.ErrorIs(t, release1("four", same, count(ids(301, 400))), release.ErrBudget)
	require.ErrorIs(t, release1("one", func(q *release.Question) { q.Policy.MinCell = 12 }, count(ids(1, 100))), release.ErrBudget,
		"the same question under another policy is another question")
	require.NoError(t, release1("four", func(q *release.Question) { q.Researcher = "did:key:zOther" }, count(ids(301, 400))))
	require.NoError(t, release1("five", func(q *release.Question) { q.Trial = "other" }, count(ids(401, 500))))
	require.NoError(t, release1("five", func(q *release.Question) { q.Policy.MaxQuestions = 0 }, count(ids(401, 500))), "0 is no limit")
}

// TestConcurrentReleaseOfOneQuestion decides once.
func TestConcurrentReleaseOfOneQuestion(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		q := ask("q")
		var group sync.WaitGroup
		got := make([]release.Released, 8)
		failures := make([]error, len(got))
		for i := range got {
			group.Go(func() {
				// Each comes with other persons, as a store that grows gives them.
				got[i], failures[i] = gate.Release(t.Context(), q, count(ids(1, 50+20*int64(i))), now)
			})
		}
		group.Wait()
		for i := range got {
			require.NoError(t, failures[i])
			require.Equal(t, got[0].Words(), got[i].Words())
		}
		summary, err := gate.Summary(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"": 1}, summary)
	})
}

// TestConcurrentQuestionsThatDiffer lets one of two through.
func TestConcurrentQuestionsThatDiffer(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		for round := range int64(5) {
			first := 1000 * round
			var group sync.WaitGroup
			failures := make([]error, 2)
			for i := range failures {
				group.Go(func() {
					_, failures[i] = gate.Release(t.Context(), ask(fmt.Sprint(round, i)), count(ids(first+int64(i), first+100)), now)
				})
			}
			group.Wait()
			if failures[0] != nil {
				failures[0], failures[1] = failures[1], failures[0]
			}
			require.NoError(t, failures[0])
			require.ErrorIs(t, failures[1], release.ErrDifference)
		}
	})
}

func TestOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		once := func(session message.Digest, step string, value message.Digest) error {
			gate := open(t, db) // as after a restart
			return db.Write(t.Context(), func(tx *sqldb.Tx) error { return gate.Once(t.Context(), tx, session, step, value) })
		}
		session, value := message.Digest{1}, message.Digest{2}
		require.NoError(t, once(session, "vector", value))
		require.NoError(t, once(session, "vector", value))
		require.ErrorIs(t, once(session, "vector", message.Digest{3}), secagg.ErrChanged)
		require.NoError(t, once(session, "survivors", message.Digest{3}))
		require.NoError(t, once(message.Digest{4}, "vector", message.Digest{3}))
	})
}

func TestFailureDecidesNothing(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	a := count(ids(1, 50))
	a.Sets["persons"] = append(a.Sets["persons"], ids(60, 90)) // more sets than cells
	q := ask("q")
	_, err := gate.Release(t.Context(), q, a, now)
	require.ErrorContains(t, err, "do not match")
	_, found, err := gate.Recall(t.Context(), q.ID)
	require.NoError(t, err)
	require.False(t, found)
	_, err = gate.Release(t.Context(), q, count(ids(1, 50)), now)
	require.NoError(t, err)
}

func TestReleasedHides(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	r, err := gate.Release(t.Context(), ask("q"), count(ids(1, 12345)), now)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprintf("%v", r), fmt.Sprintf("%+v", &r), fmt.Sprintf("%#v", r), fmt.Sprintf("%d", r)} {
		require.NotContains(t, text, "12345")
	}
	_, err = json.Marshal(r)
	require.Error(t, err)
}
