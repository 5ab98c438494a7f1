package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/redteam"
)

func (s *server) routeRedTeam() {
	if s.cfg.RedTeam == nil {
		return
	}
	post(s, huma.Operation{
		OperationID: "runRedTeam", Path: "/v1/redteam/runs", Summary: "Attack the node's own release gate", Tags: []string{"redteam"},
		Description: "Makes the attacks of deploy/docs/disclosure.md with the site's persons, joined by made-up ones up to 400, and policy, on a gate whose memory is thrown away: no question of a researcher is affected. It takes some seconds.",
	}, func(ctx context.Context, _ *struct{}) (*body[redteam.Report], error) {
		report, err := s.cfg.RedTeam(ctx)
		return &body[redteam.Report]{report}, err
	})
}
