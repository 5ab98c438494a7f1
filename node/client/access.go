package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// APIClient is a program that gets tokens of its own from the node.
type APIClient struct {
	ID        string      `json:"id"`
	Scope     string      `json:"scope"` // what its tokens may allow at most
	Keys      []ClientKey `json:"keys"`
	KeysURL   string      `json:"jwksUrl,omitempty"` // where it publishes its keys
	TokenTime int64       `json:"tokenTime"`         // seconds that a token holds
	Added     time.Time   `json:"added"`
	Changed   time.Time   `json:"changed"` // when its keys were last replaced
}

// ClientKey says which key a client has.
type ClientKey struct {
	ID         string `json:"kid"`
	Algorithm  string `json:"alg"`
	Thumbprint string `json:"thumbprint"` // of RFC 7638, with SHA-256
}

// ClientKeys are the public keys of a client; exactly one field is set.
type ClientKeys struct {
	Set json.RawMessage `json:"jwks,omitempty"`    // a JSON Web Key Set
	URL string          `json:"jwksUrl,omitempty"` // where the client publishes one
}

// NewAPIClient is a client to register.
type NewAPIClient struct {
	ID    string `json:"id"`
	Scope string `json:"scope"`
	ClientKeys
	TokenTime int64 `json:"tokenTime,omitempty"` // seconds that a token holds, 0 for the node's default
}

const clientsPath = "/v1/clients"

// APIClients returns the registered clients, by name.
func (c *Client) APIClients(ctx context.Context) ([]APIClient, error) {
	answer, err := ask[struct{ Clients []APIClient }](ctx, c, http.MethodGet, clientsPath, "", nil)
	return answer.Clients, err
}

// AddAPIClient registers a client, which can get tokens when it returns.
func (c *Client) AddAPIClient(ctx context.Context, want NewAPIClient) (APIClient, error) {
	return send[APIClient](ctx, c, clientsPath, want)
}

// RotateAPIClient replaces a client's keys and revokes its tokens.
func (c *Client) RotateAPIClient(ctx context.Context, id string, keys ClientKeys) (APIClient, error) {
	return send[APIClient](ctx, c, clientsPath+"/"+url.PathEscape(id)+"/keys", keys)
}

// RemoveAPIClient takes a client out and revokes its tokens.
func (c *Client) RemoveAPIClient(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, clientsPath+"/"+url.PathEscape(id), "", nil, nil)
}

// send posts a document and returns the answer.
func send[T any](ctx context.Context, c *Client, path string, document any) (T, error) {
	body, err := json.Marshal(document)
	if err != nil {
		var none T
		return none, err
	}
	return ask[T](ctx, c, http.MethodPost, path, "application/json", bytes.NewReader(body))
}
