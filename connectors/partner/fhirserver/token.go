package fhirserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// accessToken is what a server gave for an assertion. It is good until ends.
type accessToken struct {
	text string
	ends time.Time
}

// Bounds of the life of a token.
const (
	tokenTime   = 5 * time.Minute  // of one whose server does not say
	tokenMargin = 30 * time.Second // before its end it is not used any more
)

// smartConfiguration is what of .well-known/smart-configuration is looked at.
type smartConfiguration struct {
	TokenEndpoint string   `json:"token_endpoint"`
	Methods       []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	Capabilities  []string `json:"capabilities"`
}

// bearer returns a token that holds for a while, asking for one if there is none. It is empty
// for a server that wants none.
func (c *Client) bearer(ctx context.Context) (string, error) {
	if c.cfg.Client == "" {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.text != "" && c.cfg.Now().Before(c.token.ends) {
		return c.token.text, nil
	}
	token, err := c.newToken(ctx)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	c.token = token
	return token.text, nil
}

// forget drops a token that the server does not take any more.
func (c *Client) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.text == token {
		c.token = accessToken{}
	}
}

func (c *Client) newToken(ctx context.Context) (accessToken, error) {
	endpoint, scope := c.cfg.TokenURL, c.cfg.Scope
	if endpoint == "" || scope == "" {
		found, err := c.discover(ctx)
		switch {
		case err != nil && endpoint == "":
			return accessToken{}, err
		case endpoint == "":
			endpoint = found.TokenEndpoint
		}
		switch {
		case scope != "":
		case len(c.cfg.Creates) > 0:
			scope = found.writeScope(c.cfg.Creates)
		default:
			scope = found.scope()
		}
	}
	begun := c.cfg.Now()
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"` // seconds
	}
	err := c.ask(ctx, request{
		what: "request for a token", method: http.MethodPost, url: endpoint, accept: "application/json", elsewhere: true,
		body: func() (string, io.Reader, error) { // anew for each try: a server takes an assertion once
			assertion, err := c.cfg.Key.assertion(c.cfg.Client, endpoint, c.cfg.Now())
			return "application/x-www-form-urlencoded", strings.NewReader(url.Values{
				"grant_type":            {"client_credentials"},
				"scope":                 {scope},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion":      {assertion},
			}.Encode()), err
		},
	}, &answer)
	if err != nil {
		return accessToken{}, err
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "bearer") || strings.ContainsAny(answer.Token, " \r\n") {
		return accessToken{}, errors.New("the server gave no bearer token")
	}
	life := time.Duration(min(max(answer.Expires, 0), 24*60*60)) * time.Second
	if life == 0 {
		life = tokenTime
	}
	return accessToken{answer.Token, begun.Add(life - min(tokenMargin, life/4))}, nil
}

// discover asks the server where it gives tokens and how.
func (c *Client) discover(ctx context.Context) (smartConfiguration, error) {
	var found smartConfiguration
	err := c.ask(ctx, request{
		what: "request for .well-known/smart-configuration", method: http.MethodGet, url: c.base.JoinPath(".well-known/smart-configuration").String(), accept: "application/json",
	}, &found)
	if err != nil {
		return found, err
	}
	endpoint, err := checkedURL(found.TokenEndpoint)
	if err != nil {
		return found, errors.New("the server's .well-known/smart-configuration has no token_endpoint that may be used: set token-url")
	}
	if len(found.Methods) > 0 && !slices.Contains(found.Methods, "private_key_jwt") {
		return found, errors.New("the server does not take signed assertions (private_key_jwt)")
	}
	if algorithm := c.cfg.Key.Algorithm(); len(found.Algorithms) > 0 && !slices.Contains(found.Algorithms, algorithm) {
		return found, fmt.Errorf("the server does not take %s: make the key for another algorithm", algorithm)
	}
	if err := c.allowed(endpoint); err != nil { // an assertion sent elsewhere could get another server's token
		return found, fmt.Errorf("the server's token_endpoint is elsewhere: set token-url, if it is the site's: %w", err)
	}
	return found, nil
}

// scope is what to ask for at a server that says which versions of scopes it knows.
func (s smartConfiguration) scope() string {
	if s.onlyFirstVersion() {
		return "system/*.read"
	}
	return "system/*.rs"
}

// onlyFirstVersion reports whether the server says that it knows scopes of the first version
// alone.
func (s smartConfiguration) onlyFirstVersion() bool {
	return slices.Contains(s.Capabilities, "permission-v1") && !slices.Contains(s.Capabilities, "permission-v2")
}
