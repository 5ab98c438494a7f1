package api

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
)

func TestTheIndexIsMadeAnewWhenAskedFor(t *testing.T) {
	t.Parallel()
	asked := 0
	s := newSite(t, func(c *Config) { c.RebuildIndex = func() { asked++ } })
	s.status.Index = &Index{Phase: "building", Segments: 2, Bytes: 100}
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	defer c.Close()
	told, err := c.RebuildIndex(t.Context())
	require.NoError(t, err)
	require.Equal(t, client.Index{Phase: "building", Segments: 2, Bytes: 100}, told)
	require.Equal(t, 1, asked)
	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, &told, status.Index)

	c, err = client.New(newSite(t).url, token)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.RebuildIndex(context.Background())
	require.ErrorContains(t, err, "no event index")
}
