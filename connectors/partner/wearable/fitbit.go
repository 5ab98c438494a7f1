package wearable

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/oauth2"
)

// fitbit is the Web API of Fitbit. Access tokens hold for 8 hours. A refresh token is good
// once, but the same request gets the same answer until the new tokens are used: a process
// that died in between asks again. 150 requests an hour are allowed for each person, from
// the full hour on.
//
// Google has announced the end of this interface for November 2026, with status 410; the data
// of the same devices are at Google Health.
//
// Sources: https://dev.fitbit.com/build/reference/web-api/authorization/ (authorize,
// oauth2-token, refresh-token, revoke-token), .../web-api/developer-guide/best-practices/
// (refresh tokens), .../developer-guide/application-design/#Rate-Limits, .../web-api/
// (one page an endpoint), https://developers.google.com/health/about (its end).
var fitbit = maker{
	source:    "fitbit",
	authorize: "https://www.fitbit.com/oauth2/authorize",
	token:     "https://api.fitbit.com/oauth2/token",
	style:     oauth2.AuthStyleInHeader,
	scopes:    []string{"activity", "heartrate", "sleep", "weight", "oxygen_saturation", "respiratory_rate", "temperature"},
	pkce:      true,
	zoned:     true,
	revoke:    revokeFitbit,
	judge:     judgeFitbit,
	feeds: []Feed{
		fitbitDays("steps", 30, "/1/user/-/activities/steps/date/"),
		fitbitDays("calories", 30, "/1/user/-/activities/calories/date/"),
		fitbitDays("distance", 30, "/1/user/-/activities/distance/date/"),
		fitbitIntraday("heart"),
		{Name: "activities", Days: 30, request: fitbitActivities, next: fitbitNext},
		fitbitDays("sleep", 30, "/1.2/user/-/sleep/date/"),
		fitbitDays("weight", 30, "/1/user/-/body/log/weight/date/"),
		fitbitDays("spo2", 30, "/1/user/-/spo2/date/"),
		fitbitDays("breathing", 30, "/1/user/-/br/date/"),
		fitbitDays("hrv", 30, "/1/user/-/hrv/date/"),
		fitbitDays("skin-temperature", 30, "/1/user/-/temp/skin/date/"),
	},
}

const fitbitAPI = "https://api.fitbit.com"

// fitbitDays asks for a span of days.
func fitbitDays(name string, days int, path string) Feed {
	return Feed{Name: name, Days: days, request: func(w Window, _ string) request {
		return get(fitbitAPI+path+w.first()+"/"+w.last()+".json", nil)
	}}
}

// fitbitIntraday asks for the minutes of a day, which Fitbit gives to applications of type
// personal and to those that it has allowed it; others get the day's summary.
func fitbitIntraday(name string) Feed {
	return Feed{Name: name, Days: 1, request: func(w Window, _ string) request {
		return get(fitbitAPI+"/1/user/-/activities/"+name+"/date/"+w.first()+"/1d/1min.json", nil)
	}}
}

// fitbitPage is how many logs of activities a page has, the most that Fitbit allows.
const fitbitPage = 100

// fitbitActivities asks for logs of activities from a day on. The list has no end of its
// own: later ones come again with the next window, and are known by then.
func fitbitActivities(w Window, next string) request {
	if next == "" {
		next = "0"
	}
	return get(fitbitAPI+"/1/user/-/activities/list.json", url.Values{
		"afterDate": {w.From.AddDate(0, 0, -1).Format(time.DateOnly)}, "sort": {"asc"}, "offset": {next}, "limit": {strconv.Itoa(fitbitPage)},
	})
}

// fitbitNext takes the offset of the next page from the URL that Fitbit gives for it.
func fitbitNext(text []byte) string {
	var page struct {
		Pagination struct {
			Next string `json:"next"`
		} `json:"pagination"`
	}
	if json.Unmarshal(text, &page) != nil || page.Pagination.Next == "" {
		return ""
	}
	next, err := url.Parse(page.Pagination.Next)
	if err != nil {
		return ""
	}
	if n, err := strconv.Atoi(next.Query().Get("offset")); err == nil && n > 0 {
		return strconv.Itoa(n)
	}
	return ""
}

// judgeFitbit tells when the hour's requests are used up.
func judgeFitbit(header http.Header, _ []byte) (time.Duration, error) {
	left, err := strconv.Atoi(header.Get("Fitbit-Rate-Limit-Remaining"))
	reset, bad := strconv.Atoi(header.Get("Fitbit-Rate-Limit-Reset"))
	if err != nil || bad != nil || left > 0 {
		return 0, nil
	}
	return bounded(time.Duration(reset) * time.Second), nil
}

func revokeFitbit(ctx context.Context, c *Client, t Tokens) error {
	basic := base64.StdEncoding.EncodeToString([]byte(c.cfg.ID + ":" + c.cfg.Secret.text))
	_, _, err := c.send(ctx, request{
		method: http.MethodPost, url: fitbitAPI + "/oauth2/revoke", form: url.Values{"token": {t.refresh}}, basic: basic,
	}, "")
	return err
}
