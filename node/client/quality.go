package client

import (
	"context"
	"net/http"

	"github.com/trialmesh/trialmesh/node/report"
)

// Quality returns the node's last data quality report. It ends with a problem of the
// kind not-found if none was made yet.
func (c *Client) Quality(ctx context.Context) (report.Report, error) {
	return ask[report.Report](ctx, c, http.MethodGet, "/v1/quality", "", nil)
}

// RunQuality makes a data quality report and returns it when it is kept.
func (c *Client) RunQuality(ctx context.Context) (report.Report, error) {
	return ask[report.Report](ctx, c, http.MethodPost, "/v1/quality/runs", "", nil)
}
