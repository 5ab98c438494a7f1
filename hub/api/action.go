package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// routeActions adds what sponsors and operators may do.
func (s *server) routeActions() {
	post := func(id, path, summary, tag string, status int) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, Tags: []string{tag}, DefaultStatus: status}
	}
	register(s, s.only(registry.RoleSponsor, post("registerTrial", "/v1/trials", "Register an approved trial", "sponsor", http.StatusCreated)), s.registerTrial)
	register(s, s.only(registry.RoleOperator, post("invite", "/v1/invitations", "Let a node in", "operator", http.StatusCreated)), s.invite)
	register(s, s.only(registry.RoleOperator, post("issueToken", "/v1/tokens", "Issue a bearer token", "operator", http.StatusCreated)), s.issueToken)
	register(s, s.only(registry.RoleOperator, huma.Operation{
		OperationID: "tokens", Method: http.MethodGet, Path: "/v1/tokens", Summary: "Bearer tokens that were issued, oldest first", Tags: []string{"operator"},
	}), s.tokens)
	register(s, s.only(registry.RoleOperator, post("revokeTokens", "/v1/tokens/{of}/revoke", "Revoke a bearer token, or all of a holder", "operator", http.StatusOK)), s.revokeTokens)
	register(s, s.only(registry.RoleOperator, post("revokeNode", "/v1/nodes/{did}/revoke", "Bar a node for good", "operator", http.StatusOK)), s.revokeNode)
}

func (s *server) registerTrial(ctx context.Context, in *struct{ Body trial.Registration }) (*body[Recorded], error) {
	if err := signedBy(ctx, in.Body.Design); err != nil {
		return nil, err
	}
	return s.propose(ctx, registry.RegisterTrial{Registration: in.Body})
}

func (s *server) invite(ctx context.Context, in *struct{ Body Invite }) (*body[Invitation], error) {
	if err := identity.CheckName(in.Body.Name); err != nil {
		return nil, err
	}
	text, expires, err := s.cfg.Operator.Invite(ctx, in.Body.Name, in.Body.Organization, time.Duration(in.Body.TTLSeconds)*time.Second)
	return &body[Invitation]{Invitation{text, expires.UTC()}}, err
}

func (s *server) issueToken(ctx context.Context, in *struct{ Body TokenRequest }) (*body[Token], error) {
	life := time.Duration(in.Body.TTLSeconds) * time.Second
	expires := s.cfg.Now().Add(life).UTC().Truncate(time.Second)
	text, err := s.cfg.Operator.IssueToken(ctx, in.Body.Holder, in.Body.Role, life)
	return &body[Token]{Token{registry.TokenID(registry.TokenHash(text)), text, expires}}, err
}

func (s *server) tokens(ctx context.Context, _ *nothing) (*body[Tokens], error) {
	list, err := s.cfg.Registry.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]IssuedToken, 0, len(list))
	for _, t := range list {
		views = append(views, IssuedToken(t))
	}
	return &body[Tokens]{Tokens{views}}, nil
}

func (s *server) revokeTokens(ctx context.Context, in *struct {
	Of string `path:"of" maxLength:"128" doc:"A token's id, or the DID of a holder for all of theirs"`
},
) (*body[Recorded], error) {
	if holder, err := identity.ParseDID(in.Of); err == nil {
		return s.propose(ctx, registry.RevokeTokens{Holder: holder})
	}
	return s.propose(ctx, registry.RevokeTokens{ID: in.Of})
}

func (s *server) revokeNode(ctx context.Context, in *struct {
	DID  identity.DID `path:"did" maxLength:"128"`
	Body Revocation
},
) (*body[Recorded], error) {
	return s.propose(ctx, registry.RevokeNode{Revocation: entry.Revocation{Node: in.DID, Reason: in.Body.Reason}})
}

func (s *server) propose(ctx context.Context, command registry.Body) (*body[Recorded], error) {
	out, err := s.cfg.Log.Propose(ctx, command)
	return &body[Recorded]{Recorded{out.LedgerIndex, out.Existed}}, err
}
