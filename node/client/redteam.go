package client

import (
	"context"
	"net/http"

	"github.com/trialmesh/trialmesh/node/redteam"
)

// RedTeam lets the node attack its own release gate and returns what came of it.
func (c *Client) RedTeam(ctx context.Context) (redteam.Report, error) {
	return ask[redteam.Report](ctx, c, http.MethodPost, "/v1/redteam/runs", "", nil)
}
