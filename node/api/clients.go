package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const clientsPath = "/v1/clients"

// Access knows the clients of the API; access.Service is one. Refusals of Issue are of type
// access.Refusal, others of type problem.Error.
type Access interface {
	// TokenURL is the address of the token endpoint as clients are told it, which ends in
	// [TokenPath].
	TokenURL() string

	// Issue gives a token for an assertion, Authenticate says whose a token is or returns
	// access.ErrToken.
	Issue(ctx context.Context, r access.Request, now time.Time) (access.Grant, error)
	Authenticate(ctx context.Context, token string, now time.Time) (access.Caller, error)

	Clients(ctx context.Context) ([]access.Client, error)

	// Add, Rotate and Remove are durable and in force when they return.
	Add(ctx context.Context, r access.Registration, now time.Time) (access.Client, error)
	Rotate(ctx context.Context, id string, keys access.Keys, now time.Time) (access.Client, error)
	Remove(ctx context.Context, id string, now time.Time) error
}

// noAccess is a node that has no clients but the site itself.
type noAccess struct{}

var errNoAccess = problem.New(problem.NotFound, "this node registers no clients")

func (noAccess) TokenURL() string { return TokenPath }

func (noAccess) Issue(context.Context, access.Request, time.Time) (access.Grant, error) {
	return access.Grant{}, errNoAccess
}

func (noAccess) Authenticate(context.Context, string, time.Time) (access.Caller, error) {
	return access.Caller{}, access.ErrToken
}

func (noAccess) Clients(context.Context) ([]access.Client, error) { return nil, nil }

func (noAccess) Add(context.Context, access.Registration, time.Time) (access.Client, error) {
	return access.Client{}, errNoAccess
}

func (noAccess) Rotate(context.Context, string, access.Keys, time.Time) (access.Client, error) {
	return access.Client{}, errNoAccess
}

func (noAccess) Remove(context.Context, string, time.Time) error { return errNoAccess }

// RegisteredClient is a program that gets tokens of its own.
type RegisteredClient struct {
	ID        string      `json:"id"`
	Scope     string      `json:"scope" doc:"What its tokens may allow at most"`
	Keys      []ClientKey `json:"keys" nullable:"false"`
	KeysURL   string      `json:"jwksUrl,omitempty" doc:"Where it publishes its keys"`
	TokenTime int64       `json:"tokenTime" doc:"Seconds that a token holds"`
	Added     time.Time   `json:"added"`
	Changed   time.Time   `json:"changed" doc:"When its keys were last replaced"`
}

// ClientKey says which key a client has.
type ClientKey struct {
	ID         string `json:"kid"`
	Algorithm  string `json:"alg"`
	Thumbprint string `json:"thumbprint" doc:"Of RFC 7638, with SHA-256"`
}

// ClientKeys are the public keys of a client: one of the two.
type ClientKeys struct {
	Set json.RawMessage `json:"jwks,omitempty" doc:"JSON Web Key Set"`
	URL string          `json:"jwksUrl,omitempty" maxLength:"1024" doc:"Where the client publishes one, https"`
}

func (k ClientKeys) keys() access.Keys { return access.Keys{Set: k.Set, URL: k.URL} }

// NewClient is a client to register.
type NewClient struct {
	ID    string `json:"id" maxLength:"64"`
	Scope string `json:"scope" maxLength:"4096" doc:"With spaces between them"`
	ClientKeys
	TokenTime int64 `json:"tokenTime,omitempty" minimum:"60" maximum:"3600" doc:"Seconds that a token holds; 300 if absent"`
}

// RegisteredClients is all clients, by name.
type RegisteredClients struct {
	Clients []RegisteredClient `json:"clients" nullable:"false"`
}

// RemovedClient is a client that was taken out, with its tokens.
type RemovedClient struct {
	ID string `json:"id"`
}

type clientPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *server) routeClients() {
	tags := []string{"access"}
	get(s, huma.Operation{OperationID: "clients", Path: clientsPath, Summary: "Registered clients", Tags: tags}, s.clients)
	post(s, huma.Operation{
		OperationID: "addClient", Path: clientsPath, Summary: "Register a client", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: "It can get tokens when the answer comes. Only public keys are sent.",
	}, func(ctx context.Context, in *struct{ Body NewClient }) (*body[RegisteredClient], error) {
		want := in.Body
		made, err := s.cfg.Access.Add(ctx, access.Registration{
			ID: want.ID, Scopes: want.Scope, Keys: want.keys(), TokenTime: time.Duration(want.TokenTime) * time.Second,
		}, s.cfg.Now())
		return &body[RegisteredClient]{registered(made)}, retry(err)
	})
	post(s, huma.Operation{
		OperationID: "rotateClient", Path: clientsPath + "/{id}/keys", Summary: "Replace a client's keys", Tags: tags,
		Description: "Its tokens are revoked. A set can hold the key of before beside the new one.",
	}, func(ctx context.Context, in *struct {
		clientPath
		Body ClientKeys
	},
	) (*body[RegisteredClient], error) {
		changed, err := s.cfg.Access.Rotate(ctx, in.ID, in.Body.keys(), s.cfg.Now())
		return &body[RegisteredClient]{registered(changed)}, retry(err)
	})
	register(s, huma.Operation{
		OperationID: "removeClient", Method: http.MethodDelete, Path: clientsPath + "/{id}", Summary: "Remove a client and revoke its tokens", Tags: tags,
	}, func(ctx context.Context, in *clientPath) (*body[RemovedClient], error) {
		return &body[RemovedClient]{RemovedClient{in.ID}}, retry(s.cfg.Access.Remove(ctx, in.ID, s.cfg.Now()))
	})
}

func (s *server) clients(ctx context.Context, _ *struct{}) (*body[RegisteredClients], error) {
	all, err := s.cfg.Access.Clients(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]RegisteredClient, 0, len(all))
	for _, c := range all {
		list = append(list, registered(c))
	}
	return &body[RegisteredClients]{RegisteredClients{list}}, nil
}

func registered(c access.Client) RegisteredClient {
	view := RegisteredClient{
		ID: c.ID, Scope: c.Scopes.String(), Keys: make([]ClientKey, 0, len(c.Keys)), KeysURL: c.KeysURL,
		TokenTime: int64(c.TokenTime / time.Second), Added: c.Added.UTC(), Changed: c.Changed.UTC(),
	}
	for _, k := range c.Keys {
		view.Keys = append(view.Keys, ClientKey(k))
	}
	return view
}
