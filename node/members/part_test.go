package members_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// parted hands out events of some people of a source, and notes the most of them.
type parted struct {
	events.Source
	most *int
}

func (p parted) Most(d cohort.Domain, concepts []int64) (int, error) {
	e, err := p.Source.Events(context.Background(), d, concepts)
	return len(e.Person), err
}

func (p parted) Between(first, end uint32) events.Source { return section{p, first, end} }

func (p parted) Events(context.Context, cohort.Domain, []int64, ...events.Column) (*events.Events, error) {
	panic("all people at once")
}

type section struct {
	parted
	first, end uint32
}

func (s section) Events(ctx context.Context, d cohort.Domain, concepts []int64, columns ...events.Column) (*events.Events, error) {
	all, err := s.Source.Events(ctx, d, concepts, columns...)
	if err != nil {
		return nil, err
	}
	low, _ := slices.BinarySearch(all.Person, s.first)
	high, _ := slices.BinarySearch(all.Person, s.end)
	cut := &events.Events{
		Person: all.Person[low:high], Start: all.Start[low:high], End: all.End[low:high], ID: all.ID[low:high],
		Visit: all.Visit[low:high], Domain: all.Domain[low:high], Columns: map[events.Column]events.Vector{},
	}
	for name, v := range all.Columns {
		cut.Columns[name] = events.Vector{Int: between(v.Int, low, high), Number: between(v.Number, low, high), Text: between(v.Text, low, high), Absent: between(v.Absent, low, high)}
	}
	*s.most = max(*s.most, high-low)
	return cut, nil
}

func between[T any](values []T, low, high int) []T {
	if values == nil {
		return nil
	}
	return values[low:high]
}

// TestPeopleInPartsAreTheSame: what is read of some people at a time gives the entries and
// the attrition of all at once.
func TestPeopleInPartsAreTheSame(t *testing.T) {
	t.Parallel()
	all, err := definitions()
	require.NoError(t, err)
	compared := 0
	for _, data := range []string{"generated", "library"} {
		source, vocabulary := readFiles(t, data)
		for i, name := range slices.Sorted(maps.Keys(all)) {
			if !strings.HasPrefix(name, data) || i%3 > 0 { // some of them
				continue
			}
			d := all[name]
			want, err := members.Evaluate(t.Context(), d, source, vocabulary, members.Options{Attrition: true})
			require.NoError(t, err, name)
			most := 0
			got, err := members.Evaluate(t.Context(), d, parted{Source: source, most: &most}, vocabulary, members.Options{Attrition: true, Part: 1})
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
			compared++
		}
	}
	require.Greater(t, compared, 20)
}
