package wearable

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/oauth2"
)

// garmin is the Health API of the Garmin Connect Developer Program. Access tokens hold for a
// day, refresh tokens for 90, and each refresh gives another one. Summaries are asked for by
// when they were uploaded, of at most a day. Garmin allows that while an application is in
// evaluation; in production it wants to notify (ping) or send (push) by itself, to a public
// address, which a node does not have.
//
// Sources: https://developer.garmin.com/gc-developer-program/health-api/ and the documents
// that Garmin gives to members of the programme: OAuth2 PKCE Specification, Start Guide 1.2,
// Health API 1.2.
var garmin = maker{
	source:    "garmin",
	authorize: "https://connect.garmin.com/oauth2Confirm",
	token:     "https://diauth.garmin.com/di-oauth2-service/oauth/token",
	style:     oauth2.AuthStyleInParams,
	pkce:      true,
	account:   accountGarmin,
	revoke:    revokeGarmin,
	feeds:     []Feed{garminUploads("dailies"), garminUploads("sleeps"), garminUploads("hrv"), garminUploads("stressDetails"), garminUploads("bodyComps")},
}

const garminAPI = "https://apis.garmin.com/wellness-api/rest"

func garminUploads(name string) Feed {
	return Feed{Name: name, Days: 1, request: func(w Window, _ string) request {
		return get(garminAPI+"/"+name, url.Values{
			"uploadStartTimeInSeconds": {strconv.FormatInt(w.From.Unix(), 10)}, "uploadEndTimeInSeconds": {strconv.FormatInt(w.To.Unix()-1, 10)},
		})
	}}
}

func accountGarmin(ctx context.Context, c *Client, t Tokens) (string, error) {
	return c.member(ctx, get(garminAPI+"/user/id", nil), t, "userId")
}

func revokeGarmin(ctx context.Context, c *Client, t Tokens) error {
	_, _, err := c.send(ctx, request{method: http.MethodDelete, url: garminAPI + "/user/registration"}, t.access)
	return err
}
