package columns_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func commitment() columns.Commitment {
	return columns.Commitment{
		Trial: "t-1", Node: "did:key:zN", Dataset: "outcomes", Number: 1, ShardSize: 4, Shards: []query.Commitment{{1}},
		Columns: []columns.Column{{Name: "days", Kind: query.NumericValues, Domain: "Person", Low: -1.5, High: 9.5}},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, commitment().Validate())
	low, high := commitment().Columns[0].Coded()
	require.Equal(t, []int64{-1, 9}, []int64{low, high}, "the whole numbers within the bounds")
	for want, change := range map[string]func(c *columns.Commitment){
		"columns: dataset:":          func(c *columns.Commitment) { c.Dataset = "No" },
		"columns: number:":           func(c *columns.Commitment) { c.Number = 2 },
		"columns: columns:":          func(c *columns.Commitment) { c.Columns = nil },
		"columns: shards:":           func(c *columns.Commitment) { c.Shards = nil },
		"columns[0].kind:":           func(c *columns.Commitment) { c.Columns[0].Kind = "text" },
		"columns[0].name:":           func(c *columns.Commitment) { c.Columns[0].Name = "" },
		"columns[1].name: stands":    func(c *columns.Commitment) { c.Columns = append(c.Columns, c.Columns[0]) },
		"columns[0].low: a commit":   func(c *columns.Commitment) { c.Columns[0].High, c.Columns[0].Low = 9e8, -9e8 },
		"columns: number: the first": func(c *columns.Commitment) { c.Revises = message.Digest{1} },
	} {
		c := commitment()
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

func TestDigestIsOfEverything(t *testing.T) {
	t.Parallel()
	first, err := commitment().Digest()
	require.NoError(t, err)
	for _, change := range []func(c *columns.Commitment){
		func(c *columns.Commitment) { c.Trial = "t-2" },
		func(c *columns.Commitment) { c.Number = 2 },
		func(c *columns.Commitment) { c.Columns[0].Low = -2 },
		func(c *columns.Commitment) { c.Shards[0][0]++ },
	} {
		c := commitment()
		change(&c)
		other, err := c.Digest()
		require.NoError(t, err)
		require.NotEqual(t, first, other)
	}
}
