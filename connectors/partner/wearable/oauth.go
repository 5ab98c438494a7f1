package wearable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// NewVerifier returns a random text for the state of an authorization or for PKCE.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// AuthURL is where a person allows the application to ask for their data. Both arguments are
// of [NewVerifier], and are given to nobody else; the state comes back with the redirect.
func (c *Client) AuthURL(state, verifier string) string {
	var options []oauth2.AuthCodeOption
	if c.maker.pkce {
		options = append(options, oauth2.S256ChallengeOption(verifier))
	}
	for name, value := range c.maker.extra {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return c.oauth.AuthCodeURL(state, options...)
}

// Exchange gets the tokens for the code that came back with the redirect, and the maker's id
// of the person where there is one. A code is good once, for a few minutes, at Withings for
// 30 seconds. The error is [ErrRevoked] if the maker does not take it.
func (c *Client) Exchange(ctx context.Context, code, verifier string) (Tokens, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTimeout)
	defer cancel()
	var t Tokens
	var err error
	if c.maker.grant != nil {
		t, err = c.maker.grant(ctx, c, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.cfg.Redirect}})
	} else {
		var options []oauth2.AuthCodeOption
		if c.maker.pkce {
			options = append(options, oauth2.VerifierOption(verifier))
		}
		got, failed := c.oauth.Exchange(c.withClient(ctx), code, options...)
		t, err = c.tokens(ctx, got, failed)
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("exchange the code: %w", err)
	}
	if t.refresh == "" {
		return Tokens{}, errors.New("exchange the code: the maker gave no refresh token, so the connection would end with the access token: take the application's access away in the account and connect again")
	}
	if t.account == "" && c.maker.account != nil {
		if t.account, err = c.maker.account(ctx, c, t); err != nil {
			return Tokens{}, fmt.Errorf("ask whose account it is: %w", err)
		}
	}
	return t, nil
}

// Refresh gets new tokens; those before may be worth nothing from the moment on that the
// maker has the request. The error is [ErrRevoked] if the authorization is over.
func (c *Client) Refresh(ctx context.Context, t Tokens) (Tokens, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTimeout)
	defer cancel()
	var next Tokens
	var err error
	if c.maker.grant != nil {
		next, err = c.maker.grant(ctx, c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.refresh}})
	} else {
		got, failed := c.oauth.TokenSource(c.withClient(ctx), &oauth2.Token{RefreshToken: t.refresh}).Token()
		next, err = c.tokens(ctx, got, failed)
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh the tokens: %w", err)
	}
	if next.refresh == "" {
		next.refresh = t.refresh
	}
	if t.account != "" {
		next.account = t.account
	}
	return next, nil
}

// Revoke tells the maker that the authorization is over. The error is [ErrNoRevoke] where
// that has no way to be told.
func (c *Client) Revoke(ctx context.Context, t Tokens) error {
	if c.maker.revoke == nil {
		return ErrNoRevoke
	}
	err := c.maker.revoke(ctx, c, t)
	if errors.Is(err, ErrExpired) || errors.Is(err, ErrRevoked) {
		return nil // it was
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// ErrNoRevoke says that the person has to take the access away in the account.
var ErrNoRevoke = errors.New("the maker has no way to be told that an authorization is over")

func (c *Client) withClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.http)
}

// tokens are what the token endpoint of RFC 6749 answered.
func (c *Client) tokens(ctx context.Context, got *oauth2.Token, err error) (Tokens, error) {
	if err != nil {
		return Tokens{}, c.denied(ctx, err)
	}
	t := Tokens{access: got.AccessToken, refresh: got.RefreshToken, ends: c.endOf(got.ExpiresIn)}
	t.account, _ = got.Extra("user_id").(string) // of Fitbit
	return t, nil
}

// endOf is when a token of so many seconds ends. The library reckons with its own clock.
func (c *Client) endOf(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return c.cfg.Now().Add(time.Duration(min(seconds, 10*366*86_400)) * time.Second)
}

// denied is what a failure of the token endpoint amounts to. The library's error has the
// answer in it.
func (c *Client) denied(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	var network *url.Error
	switch {
	case errors.As(err, &refused) && refused.Response != nil:
		return c.refusedGrant(refused)
	case errors.As(err, &network), ctx.Err() != nil:
		return unreached(ctx, err)
	}
	return errJSON
}

// refusedGrant reads the code of a refusal: error of RFC 6749, section 5.2, or Fitbit's
// errorType.
func (c *Client) refusedGrant(e *oauth2.RetrieveError) error {
	status := e.Response.StatusCode
	code := e.ErrorCode
	if code == "" {
		var own struct {
			Errors []struct {
				Type string `json:"errorType"`
			} `json:"errors"`
		}
		if json.Unmarshal(e.Body, &own) == nil && len(own.Errors) > 0 {
			code = own.Errors[0].Type
		}
	}
	switch code {
	case "invalid_grant", "invalid_token":
		return ErrRevoked
	case "invalid_client", "unauthorized_client":
		return ErrClient
	}
	if status == http.StatusUnauthorized {
		return ErrClient
	}
	if err := c.refusal(status, e.Response.Header); err != nil {
		return err
	}
	return errJSON
}
