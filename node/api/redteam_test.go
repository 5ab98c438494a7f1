package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
)

func TestRedTeamIsTheOperators(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	report, err := c.RedTeam(t.Context())
	require.NoError(t, err)
	require.True(t, report.Withstood)
	require.Len(t, report.Findings, 2)
	require.Nil(t, report.Findings[0].Off)
	response, err := http.Post(s.url+"/v1/redteam/runs", "application/json", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}
