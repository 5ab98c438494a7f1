package wearable

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// withings is the public API of Withings. Its token endpoint is an action of its own, signed
// with a nonce instead of the secret, and every answer has status 200 and a status in the
// body. Access tokens hold for 3 hours. A refresh gives another refresh token, and the one
// before holds for 8 more hours or until the new access token is used: a process that died
// in between asks again. A code holds for 30 seconds. 120 requests a minute are allowed for
// the application. There is no PKCE.
//
// Sources: https://developer.withings.com/developer-guide/v3/integration-guide/public-health-data-api/get-access/
// (oauth-authorization-url, access-and-refresh-tokens-no-recover, sign-your-requests),
// https://developer.withings.com/api-reference/ (endpoints, response status).
var withings = maker{
	source:    "withings",
	authorize: "https://account.withings.com/oauth2_user/authorize2",
	token:     withingsAPI + "/v2/oauth2",
	style:     oauth2.AuthStyleInParams,
	scopes:    []string{"user.info,user.metrics,user.activity"}, // separated by commas
	grant:     grantWithings,
	revoke:    revokeWithings,
	judge:     judgeWithings,
	feeds: []Feed{
		{Name: "measures", Days: 30, next: withingsNext, request: func(w Window, next string) request {
			return withingsPage("/measure", next, url.Values{"action": {"getmeas"}, "category": {"1"}, "startdate": {unix(w.From)}, "enddate": {unix(w.To.Add(-time.Second))}})
		}},
		{Name: "activity", Days: 30, next: withingsNext, request: func(w Window, next string) request {
			return withingsPage("/v2/measure", next, url.Values{
				"action": {"getactivity"}, "startdateymd": {w.first()}, "enddateymd": {w.last()},
				"data_fields": {"steps,distance,calories,totalcalories,soft,moderate,intense,hr_average,hr_min,hr_max"},
			})
		}},
		{Name: "intraday", Days: 1, request: func(w Window, _ string) request { // at most 24 hours
			return withingsPage("/v2/measure", "", url.Values{
				"action": {"getintradayactivity"}, "startdate": {unix(w.From)}, "enddate": {unix(w.To.Add(-time.Second))},
				"data_fields": {"steps,distance,calories,duration,heart_rate,spo2_auto"},
			})
		}},
		{Name: "sleep", Days: 30, next: withingsNext, request: func(w Window, next string) request {
			return withingsPage("/v2/sleep", next, url.Values{
				"action": {"getsummary"}, "startdateymd": {w.first()}, "enddateymd": {w.last()},
				"data_fields": {"total_sleep_time,deepsleepduration,lightsleepduration,remsleepduration,wakeupduration,wakeupcount,durationtosleep,durationtowakeup,hr_average,hr_min,hr_max,rr_average,rr_min,rr_max,sleep_score"},
			})
		}},
	},
}

const withingsAPI = "https://wbsapi.withings.net"

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func withingsPage(path, next string, form url.Values) request {
	if next != "" {
		form.Set("offset", next)
	}
	return post(withingsAPI+path, form)
}

// withingsNext reads more, which is true or 1, and offset.
func withingsNext(text []byte) string {
	var page struct {
		Body struct {
			More   any   `json:"more"`
			Offset int64 `json:"offset"`
		} `json:"body"`
	}
	if json.Unmarshal(text, &page) != nil || page.Body.Offset <= 0 {
		return ""
	}
	if more := page.Body.More; more == true || more == 1.0 {
		return strconv.FormatInt(page.Body.Offset, 10)
	}
	return ""
}

// Statuses in the body of an answer.
//
// Source: https://developer.withings.com/api-reference/#section/Response-status.
var (
	withingsUnauthenticated = []int{100, 101, 102, 200, 401}
	withingsForbidden       = []int{214, 277, 2553, 2554, 2555}
	withingsUnavailable     = []int{522}
	withingsTooMany         = 601
)

// withingsWait is what is waited at the limit, which is of a minute.
const withingsWait = time.Minute

func judgeWithings(_ http.Header, text []byte) (time.Duration, error) {
	var answer struct {
		Status *int `json:"status"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Status == nil {
		return 0, errJSON
	}
	switch status := *answer.Status; {
	case status == 0:
		return 0, nil
	case slices.Contains(withingsUnauthenticated, status):
		return 0, ErrExpired
	case slices.Contains(withingsForbidden, status):
		return 0, &StatusError{http.StatusForbidden}
	case slices.Contains(withingsUnavailable, status):
		return 0, &StatusError{http.StatusServiceUnavailable}
	case status == withingsTooMany:
		return 0, &BusyError{withingsWait}
	}
	return 0, &StatusError{http.StatusBadRequest}
}

// grantWithings asks for tokens with a signed request. Withings has no word for a code or a
// refresh token that it does not take but that a parameter is wrong.
func grantWithings(ctx context.Context, c *Client, form url.Values) (Tokens, error) {
	form.Set("action", "requesttoken")
	text, err := c.signed(ctx, form)
	var status *StatusError
	if errors.Is(err, ErrExpired) || errors.As(err, &status) && status.Status == http.StatusBadRequest {
		return Tokens{}, ErrRevoked
	}
	if err != nil {
		return Tokens{}, err
	}
	var answer struct {
		Body struct {
			User    json.RawMessage `json:"userid"` // a number or a text
			Access  string          `json:"access_token"`
			Refresh string          `json:"refresh_token"`
			Seconds int64           `json:"expires_in"`
		} `json:"body"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Body.Access == "" {
		return Tokens{}, errJSON
	}
	b := answer.Body
	return Tokens{access: b.Access, refresh: b.Refresh, ends: c.endOf(b.Seconds), account: strings.Trim(string(b.User), `"`)}, nil
}

func revokeWithings(ctx context.Context, c *Client, t Tokens) error {
	_, err := c.signed(ctx, url.Values{"action": {"revoke"}, "userid": {t.account}})
	return err
}

// signed sends an action of the token endpoint with a fresh nonce and a signature.
func (c *Client) signed(ctx context.Context, form url.Values) ([]byte, error) {
	at := unix(c.cfg.Now())
	text, _, err := c.ask(ctx, post(withingsAPI+"/v2/signature", url.Values{
		"action": {"getnonce"}, "client_id": {c.cfg.ID}, "timestamp": {at}, "signature": {c.sign("getnonce", at)},
	}), "")
	if errors.Is(err, ErrExpired) || Refused(err) {
		return nil, ErrClient
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Body struct {
			Nonce string `json:"nonce"`
		} `json:"body"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Body.Nonce == "" {
		return nil, errJSON
	}
	form.Set("client_id", c.cfg.ID)
	form.Set("nonce", answer.Body.Nonce)
	form.Set("signature", c.sign(form.Get("action"), answer.Body.Nonce))
	text, _, err = c.ask(ctx, post(c.maker.token, form), "")
	return text, err
}

// sign is the HMAC-SHA-256, by the secret, of the action, the client id and the nonce or
// time, joined by commas.
func (c *Client) sign(action, once string) string {
	mac := hmac.New(sha256.New, []byte(c.cfg.Secret.text))
	_, _ = mac.Write([]byte(action + "," + c.cfg.ID + "," + once)) // never fails
	return hex.EncodeToString(mac.Sum(nil))
}
