package members_test

import (
	"crypto/rand"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// TestSitesAddUpToTheReferencesAttrition splits the people over three sites, whose gates
// withhold nothing, and adds up the persons whom the rules leave at each.
func TestSitesAddUpToTheReferencesAttrition(t *testing.T) {
	t.Parallel()
	const set, sites, enough = "library", 3, 12
	all, err := definitions()
	require.NoError(t, err)
	source, vocabulary := readFiles(t, set)
	var gates [sites]*release.Gate
	for i := range gates {
		gates[i], err = release.Open(t.Context(), sqltest.SQLite(t))
		require.NoError(t, err)
	}
	reference := attritions(t, set)
	compared, left := 0, int64(0)
	for _, id := range slices.Sorted(maps.Keys(reference)) {
		d := all[data[set]+"/"+id]
		masks := reference[id][1] // of each person's best event
		want := make([]int64, len(d.Rules)+1)
		for mask, n := range masks {
			for step := range want {
				if first := uint64(1)<<step - 1; mask&first == first {
					want[step] += n
				}
			}
		}
		if len(d.Rules) < 2 || want[0] < 10*sites || compared == enough {
			continue
		}
		method := analysis.Attrition{Steps: make([]string, len(want))}
		for i := range method.Steps {
			method.Steps[i] = string(rune('a' + i))
		}
		sum := make([]uint64, method.Words())
		for site, gate := range gates {
			people := source.People()
			result, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{
				Attrition: true, Permit: func(person uint32) bool { return people.ID[person]%sites == int64(site) },
			})
			require.NoError(t, err, id)
			answer := release.Answer{Measure: "persons", Nested: true}
			persons := make([][]omop.PersonID, len(want))
			answer.Table, err = method.Tabulate(func(yield func(analysis.Row, error) bool) {
				for _, p := range result.Passed {
					if !yield(analysis.Row{Strata: []int{p.Rules}}, nil) {
						return
					}
				}
			})
			require.NoError(t, err, id)
			for _, p := range result.Passed {
				var person omop.PersonID
				require.NoError(t, person.Scan(people.ID[p.Person]))
				answer.Used = append(answer.Used, person)
				for step := range p.Rules + 1 {
					persons[step] = append(persons[step], person)
				}
			}
			answer.Sets = map[string][][]omop.PersonID{"persons": persons}
			q := release.Question{Same: message.Sum([]byte(id))}
			_, _ = rand.Read(q.ID[:])
			out, err := gate.Release(t.Context(), q, answer, time.Unix(1_800_000_000, 0))
			require.NoError(t, err, id)
			for i, w := range out.Words() {
				sum[i] += w
			}
		}
		pooled, err := method.Pool(sum, sites)
		require.NoError(t, err, id)
		for step, n := range want {
			require.Equal(t, n, pooled.Steps[step].N, "definition %s, step %d", id, step)
		}
		compared, left = compared+1, left+want[len(want)-1]
	}
	require.Equal(t, enough, compared)
	require.Positive(t, left)
}
