package wearable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// googleHealth is the Google Health API, which has what Fitbit's and Google's devices
// measure. Refresh tokens stay the same, so nothing can be lost with a process. They come
// only if access_type is offline, and a second time only if the person is asked again. A
// refresh token of an application that is "in testing" ends after 7 days.
//
// Sources: https://developers.google.com/identity/protocols/oauth2/web-server,
// https://developers.google.com/health/scopes,
// https://developers.google.com/health/reference/rest/v4/users.dataTypes.dataPoints/list.
var googleHealth = maker{
	source:    "google",
	authorize: googleAuthorize,
	token:     googleToken,
	style:     oauth2.AuthStyleInParams,
	scopes: []string{
		googleScope + "googlehealth.activity_and_fitness.readonly", googleScope + "googlehealth.health_metrics_and_measurements.readonly",
		googleScope + "googlehealth.sleep.readonly",
	},
	pkce:    true,
	extra:   googleExtra,
	zoned:   true, // dates of daily values
	account: accountGoogle,
	revoke:  revokeGoogle,
	feeds: []Feed{
		healthFeed("steps", "interval.start_time"),
		healthFeed("distance", "interval.start_time"),
		healthFeed("active-energy-burned", "interval.start_time"),
		healthFeed("active-minutes", "interval.start_time"),
		healthFeed("exercise", "interval.civil_start_time"),
		healthFeed("sleep", "interval.end_time"),
		healthFeed("heart-rate", "sample_time.physical_time"),
		healthFeed("heart-rate-variability", "sample_time.physical_time"),
		healthFeed("oxygen-saturation", "sample_time.physical_time"),
		healthFeed("weight", "sample_time.physical_time"),
		healthFeed("height", "sample_time.physical_time"),
		healthFeed("body-fat", "sample_time.physical_time"),
		healthFeed("core-body-temperature", "sample_time.physical_time"),
		healthFeed("blood-glucose", "sample_time.physical_time"),
		healthFeed("daily-resting-heart-rate", "date"),
		healthFeed("daily-heart-rate-variability", "date"),
		healthFeed("daily-oxygen-saturation", "date"),
		healthFeed("daily-respiratory-rate", "date"),
	},
}

const (
	googleAuthorize = "https://accounts.google.com/o/oauth2/v2/auth"
	googleToken     = "https://oauth2.googleapis.com/token"
	googleRevoke    = "https://oauth2.googleapis.com/revoke"
	googleScope     = "https://www.googleapis.com/auth/"
	healthAPI       = "https://health.googleapis.com/v4/users/me"
	fitAPI          = "https://www.googleapis.com/fitness/v1/users/me"
)

var googleExtra = map[string]string{"access_type": "offline", "prompt": "consent"}

// Points on a page, as many as Google gives.
const (
	healthPage  = 10_000
	sessionPage = 25 // of exercise and sleep
)

// healthFeed asks for the data points of a type, whose time stands in a member of its own.
// Names have - in the path and _ in the filter.
func healthFeed(name, member string) Feed {
	field := strings.ReplaceAll(name, "-", "_") + "." + member
	size := healthPage
	if name == "exercise" || name == "sleep" {
		size = sessionPage
	}
	return Feed{Name: name, Days: 7, next: googleNext, request: func(w Window, next string) request {
		from, to := w.From.UTC().Format(time.RFC3339), w.To.UTC().Format(time.RFC3339)
		if member == "date" || strings.Contains(member, "civil") {
			from, to = w.first(), w.end()
		}
		query := url.Values{"pageSize": {strconv.Itoa(size)}, "filter": {fmt.Sprintf("%s >= %q AND %s < %q", field, from, field, to)}}
		if next != "" {
			query.Set("pageToken", next)
		}
		return get(healthAPI+"/dataTypes/"+name+"/dataPoints", query)
	}}
}

func googleNext(text []byte) string {
	var page struct {
		Next string `json:"nextPageToken"`
	}
	if json.Unmarshal(text, &page) != nil {
		return ""
	}
	return page.Next
}

func accountGoogle(ctx context.Context, c *Client, t Tokens) (string, error) {
	return c.member(ctx, get(healthAPI+"/identity", nil), t, "healthUserId")
}

func revokeGoogle(ctx context.Context, c *Client, t Tokens) error {
	_, _, err := c.send(ctx, post(googleRevoke, url.Values{"token": {t.refresh}}), "")
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusBadRequest { // invalid_token: it was
		return nil
	}
	return err
}

// googleFit is the REST API of Google Fit, which takes no new applications since May 2024 and
// ends in 2026. It does not say whose account it is.
//
// Source: https://developers.google.com/fit/rest/v1/reference/users/dataSources/datasets/get.
var googleFit = maker{
	source:    "google",
	authorize: googleAuthorize,
	token:     googleToken,
	style:     oauth2.AuthStyleInParams,
	scopes: []string{
		googleScope + "fitness.activity.read", googleScope + "fitness.body.read", googleScope + "fitness.heart_rate.read",
		googleScope + "fitness.sleep.read", googleScope + "fitness.location.read",
	},
	pkce:   true,
	extra:  googleExtra,
	revoke: revokeGoogle,
	feeds: []Feed{
		fitFeed("step-deltas", "com.google.step_count.delta", "merge_step_deltas"),
		fitFeed("heart-rate", "com.google.heart_rate.bpm", "merge_heart_rate_bpm"),
		fitFeed("weight", "com.google.weight", "merge_weight"),
		fitFeed("height", "com.google.height", "merge_height"),
		fitFeed("calories-expended", "com.google.calories.expended", "merge_calories_expended"),
		fitFeed("activity-segments", "com.google.activity.segment", "merge_activity_segments"),
		fitFeed("speed", "com.google.speed", "merge_speed"),
	},
}

// fitFeed asks for the data set that Google merges from all sources of a type.
func fitFeed(name, kind, stream string) Feed {
	source := "derived:" + kind + ":com.google.android.gms:" + stream
	return Feed{Name: name, Days: 7, next: googleNext, request: func(w Window, next string) request {
		query := url.Values{"limit": {strconv.Itoa(healthPage)}}
		if next != "" {
			query.Set("pageToken", next)
		}
		return get(fmt.Sprintf("%s/dataSources/%s/datasets/%d-%d", fitAPI, source, w.From.UnixNano(), w.To.UnixNano()), query)
	}}
}
