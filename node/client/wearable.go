package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Wearable is a connection to an account of a patient at a maker.
type Wearable struct {
	ID        string    `json:"id"`
	Maker     string    `json:"maker"`
	Patient   string    `json:"patient"`
	Timezone  string    `json:"timezone,omitempty"`
	State     string    `json:"state"` // connected, needs connecting again
	Connected time.Time `json:"connected"`
	Asked     time.Time `json:"asked"`
	Began     time.Time `json:"began,omitzero"` // zero for none, as below
	Ended     time.Time `json:"ended,omitzero"`
	Success   time.Time `json:"success,omitzero"`
	Next      time.Time `json:"next,omitzero"` // zero for on request
	Pulling   bool      `json:"pulling"`
	Error     string    `json:"error,omitempty"`
}

// Settled reports whether the last attempt is of the last time that the site asked, and over.
func (w Wearable) Settled() bool { return !w.Began.Before(w.Asked) && !w.Ended.Before(w.Began) }

// WearableAuthorization is what a patient is to be asked for.
type WearableAuthorization struct {
	URL      string    `json:"url"`
	Redirect string    `json:"redirect"`
	Expires  time.Time `json:"expires"`
}

const wearables = "/v1/wearables/connections"

// Wearables returns all connections, by id.
func (c *Client) Wearables(ctx context.Context) ([]Wearable, error) {
	answer, err := ask[struct{ Connections []Wearable }](ctx, c, http.MethodGet, wearables, "", nil)
	return answer.Connections, err
}

// AuthorizeWearable asks for the authorization of a patient's account.
func (c *Client) AuthorizeWearable(ctx context.Context, maker, patient, timezone string) (WearableAuthorization, error) {
	return askWith[WearableAuthorization](ctx, c, "/v1/wearables/authorizations", map[string]string{"maker": maker, "patient": patient, "timezone": timezone})
}

// ConnectWearable connects the account that was authorized with the URL that came back.
func (c *Client) ConnectWearable(ctx context.Context, redirected string) (Wearable, error) {
	return askWith[Wearable](ctx, c, wearables, map[string]string{"redirected": redirected})
}

// PullWearable has a connection pulled from since on, the zero time for what is new.
func (c *Client) PullWearable(ctx context.Context, id string, since time.Time) (Wearable, error) {
	return askWith[Wearable](ctx, c, wearables+"/"+url.PathEscape(id)+"/pull", struct {
		Since time.Time `json:"since,omitzero"`
	}{since})
}

// DisconnectWearable ends a connection. told is false if the maker was not told.
func (c *Client) DisconnectWearable(ctx context.Context, id string) (told bool, err error) {
	answer, err := ask[struct{ Told bool }](ctx, c, http.MethodPost, wearables+"/"+url.PathEscape(id)+"/disconnect", "", nil)
	return answer.Told, err
}

// WatchWearable returns a connection once the pull that the site asked for is over, or when
// ctx ends.
func (c *Client) WatchWearable(ctx context.Context, id string) (Wearable, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		list, err := c.Wearables(ctx)
		if err != nil {
			return Wearable{}, err
		}
		for _, w := range list {
			if w.ID == id && w.Settled() {
				return w, nil
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Wearable{}, ctx.Err()
		case <-timer.C:
		}
	}
}

// askWith posts v as JSON.
func askWith[T any](ctx context.Context, c *Client, path string, v any) (T, error) {
	text, err := json.Marshal(v)
	if err != nil {
		var none T
		return none, err
	}
	return ask[T](ctx, c, http.MethodPost, path, "application/json", bytes.NewReader(text))
}
