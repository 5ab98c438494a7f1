package wearable

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// oura is the API of Oura, version 2. A refresh gives a new refresh token, and the one before
// is worth nothing then: an answer that was lost with the process cannot be had again. 5,000
// requests are allowed in 5 minutes. PKCE is not in its documents and is sent all the same:
// RFC 6749, section 3.1, has a server leave out what it does not know.
//
// Sources: https://cloud.ouraring.com/docs/authentication, https://cloud.ouraring.com/v2/docs.
var oura = maker{
	source:    "oura",
	authorize: "https://cloud.ouraring.com/oauth/authorize",
	token:     "https://api.ouraring.com/oauth/token",
	style:     oauth2.AuthStyleInParams,
	scopes:    []string{"personal", "daily", "heartrate", "workout", "session", "spo2Daily"},
	pkce:      true,
	account:   accountOura,
	revoke:    revokeOura,
	feeds: []Feed{
		ouraDays("sleep"), ouraDays("daily_activity"), ouraDays("daily_spo2"), ouraDays("workout"), ouraDays("session"),
		{Name: "heartrate", Days: 7, next: ouraNext, request: func(w Window, next string) request {
			return ouraPage("heartrate", url.Values{"start_datetime": {w.From.Format(time.RFC3339)}, "end_datetime": {w.To.Format(time.RFC3339)}}, next)
		}},
	},
}

const ouraAPI = "https://api.ouraring.com"

// ouraDays asks for a collection that is listed by day. The last day is given one too far,
// since some collections leave it out.
func ouraDays(name string) Feed {
	return Feed{Name: name, Days: 30, next: ouraNext, request: func(w Window, next string) request {
		return ouraPage(name, url.Values{"start_date": {w.first()}, "end_date": {w.end()}}, next)
	}}
}

func ouraPage(name string, query url.Values, next string) request {
	if next != "" {
		query.Set("next_token", next)
	}
	return get(ouraAPI+"/v2/usercollection/"+name, query)
}

func ouraNext(text []byte) string {
	var page struct {
		Next string `json:"next_token"`
	}
	if json.Unmarshal(text, &page) != nil {
		return ""
	}
	return page.Next
}

func accountOura(ctx context.Context, c *Client, t Tokens) (string, error) {
	return c.member(ctx, get(ouraAPI+"/v2/usercollection/personal_info", nil), t, "id")
}

func revokeOura(ctx context.Context, c *Client, t Tokens) error {
	_, _, err := c.send(ctx, request{
		method: http.MethodPost, url: ouraAPI + "/oauth/revoke?" + url.Values{"access_token": {t.access}}.Encode(), form: url.Values{},
	}, "")
	return err
}
