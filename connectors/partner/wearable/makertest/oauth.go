package makertest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// grant is what a person has allowed.
type grant struct {
	host      string // of the token endpoint
	user      string
	challenge string // of PKCE, empty for none
	revoked   bool

	access  map[string]time.Time // when they end
	refresh string
	before  string // the refresh token before, where it still gives the same answer
	latest  string // access token, unused while before holds
}

// rules are what the makers' documents say of tokens.
var rules = map[string]struct {
	host   string // of the token endpoint
	life   time.Duration
	rotate bool // a refresh gives another refresh token
	again  bool // the same refresh once more gets the same answer, until that was used
	basic  bool // credentials in the header
	extra  map[string]string
}{
	"www.fitbit.com":       {"api.fitbit.com", 8 * time.Hour, true, true, true, nil},
	"cloud.ouraring.com":   {"api.ouraring.com", 24 * time.Hour, true, false, false, nil},
	"connect.garmin.com":   {"diauth.garmin.com", 24 * time.Hour, true, false, false, nil},
	"accounts.google.com":  {"oauth2.googleapis.com", time.Hour, false, false, false, map[string]string{"access_type": "offline", "prompt": "consent"}},
	"account.withings.com": {"wbsapi.withings.net", 3 * time.Hour, true, true, false, nil},
}

// Allow plays a patient who opens an authorization URL and allows it, and returns the URL to
// which the browser is redirected.
func (f *Fake) Allow(at string) string {
	f.t.Helper()
	u, err := url.Parse(at)
	require.NoError(f.t, err)
	rule, known := rules[u.Host]
	require.True(f.t, known, u.Host)
	q := u.Query()
	require.Equal(f.t, "https", u.Scheme)
	require.Equal(f.t, "code", q.Get("response_type"))
	require.Equal(f.t, Client, q.Get("client_id"))
	require.Equal(f.t, Redirect, q.Get("redirect_uri"))
	require.GreaterOrEqual(f.t, len(q.Get("state")), 32)
	for name, value := range rule.extra {
		require.Equal(f.t, value, q.Get(name))
	}
	if u.Host != "account.withings.com" {
		require.Equal(f.t, "S256", q.Get("code_challenge_method"))
		require.NotEmpty(f.t, q.Get("code_challenge"))
	}
	code := rand.Text()
	f.mu.Lock()
	defer f.mu.Unlock()
	g := &grant{host: rule.host, user: f.user, challenge: q.Get("code_challenge"), access: make(map[string]time.Time)}
	f.codes[code], f.all = g, append(f.all, g)
	return Redirect + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

// Withdraw plays patients who take the access away in their accounts.
func (f *Fake) Withdraw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.all {
		g.revoked = true
	}
}

// Revoked returns how many authorizations are over.
func (f *Fake) Revoked() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.all {
		if g.revoked {
			n++
		}
	}
	return n
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // to whoever is still there
}

// token is the endpoint of RFC 6749, with Fitbit's own form of an error.
func (f *Fake) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		if r.Host == "api.fitbit.com" {
			answer(w, http.StatusBadRequest, map[string]any{"success": false, "errors": []map[string]string{{"errorType": code, "message": "Erika Mustermann"}}})
			return
		}
		answer(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "Erika Mustermann"})
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != Client || strings.ReplaceAll(secret, "%27", "'") != Secret || basic != (r.Host == "api.fitbit.com") {
		refuse("invalid_client")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.granted(r)
	if g == nil {
		refuse("invalid_grant")
		return
	}
	fields := map[string]any{"access_token": g.latest, "token_type": "Bearer", "expires_in": int(g.access[g.latest].Sub(f.now()).Seconds())}
	if r.Host != "oauth2.googleapis.com" || r.PostForm.Get("grant_type") == "authorization_code" {
		fields["refresh_token"] = g.refresh
	}
	if r.Host == "api.fitbit.com" {
		fields["user_id"] = g.user
	}
	answer(w, http.StatusOK, fields)
}

// granted finds the grant that a request is for and gives it tokens, or returns nil.
func (f *Fake) granted(r *http.Request) *grant {
	form := r.PostForm
	switch form.Get("grant_type") {
	case "authorization_code":
		g := f.codes[form.Get("code")]
		delete(f.codes, form.Get("code"))
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if g == nil || g.host != r.Host || form.Get("redirect_uri") != Redirect || g.challenge != "" && g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return nil
		}
		f.issue(g)
		return g
	case "refresh_token":
		token := form.Get("refresh_token")
		i := slices.IndexFunc(f.all, func(g *grant) bool {
			return g.host == r.Host && !g.revoked && token != "" && (token == g.refresh || token == g.before)
		})
		if i < 0 {
			return nil
		}
		if token == f.all[i].refresh {
			f.issue(f.all[i])
		}
		return f.all[i]
	}
	return nil
}

// issue gives a grant new tokens.
func (f *Fake) issue(g *grant) {
	for _, rule := range rules {
		if rule.host != g.host {
			continue
		}
		g.latest = rand.Text()
		g.access[g.latest] = f.now().Add(rule.life)
		if rule.again {
			g.before = g.refresh
		}
		if rule.rotate || g.refresh == "" {
			g.refresh = rand.Text()
		}
	}
}

// withToken lets those in who have a token of a maker whose data are asked for.
func (f *Fake) withToken(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if f.holder(token, r.Host) == nil {
			if r.Host == "wbsapi.withings.net" {
				answer(w, http.StatusOK, map[string]any{"status": 401, "body": map[string]any{}, "error": "Erika Mustermann"})
				return
			}
			answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
			return
		}
		serve(w, r)
	}
}

// holder returns the grant whose access token this is, and that it was used.
func (f *Fake) holder(token, host string) *grant {
	f.mu.Lock()
	defer f.mu.Unlock()
	domain := func(host string) string { // garmin.com of diauth.garmin.com
		parts := strings.Split(host, ".")
		return strings.Join(parts[len(parts)-2:], ".")
	}
	for _, g := range f.all {
		if ends, has := g.access[token]; has && !g.revoked && f.now().Before(ends) && domain(g.host) == domain(host) {
			if token == g.latest {
				g.before = "" // from now on
			}
			return g
		}
	}
	return nil
}

func (f *Fake) account(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	user := f.holder(token, r.Host).user
	answer(w, http.StatusOK, map[string]string{"id": user, "userId": user, "healthUserId": user})
}

func (f *Fake) revokeGarmin(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := f.holder(token, r.Host)
	f.end(g)
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fake) revoke(w http.ResponseWriter, r *http.Request) {
	token := r.Form.Get("token") + r.Form.Get("access_token")
	f.mu.Lock()
	i := slices.IndexFunc(f.all, func(g *grant) bool { _, has := g.access[token]; return has || g.refresh == token })
	f.mu.Unlock()
	if i < 0 || token == "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_token"})
		return
	}
	f.end(f.all[i])
	w.WriteHeader(http.StatusOK)
}

func (f *Fake) end(g *grant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g.revoked = true
}

// signature is that of Withings: the values in the order of their names, without the
// signature and what is not signed.
func signature(form url.Values, once string) string {
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(strings.Join([]string{form.Get("action"), form.Get("client_id"), form.Get(once)}, ",")))
	return hex.EncodeToString(mac.Sum(nil))
}

func (f *Fake) withingsNonce(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Get("action") != "getnonce" || r.PostForm.Get("client_id") != Client || r.PostForm.Get("signature") != signature(r.PostForm, "timestamp") {
		answer(w, http.StatusOK, map[string]any{"status": 401})
		return
	}
	nonce := rand.Text()
	f.mu.Lock()
	f.nonce[nonce] = true
	f.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"status": 0, "body": map[string]string{"nonce": nonce}})
}

// signed reports whether a request of Withings' token endpoint is, with a nonce that is new.
func (f *Fake) signed(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	nonce := r.PostForm.Get("nonce")
	fresh := f.nonce[nonce]
	delete(f.nonce, nonce)
	return fresh && r.PostForm.Get("client_secret") == "" && r.PostForm.Get("signature") == signature(r.PostForm, "nonce")
}

func (f *Fake) withingsToken(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Get("action") != "requesttoken" || !f.signed(r) {
		answer(w, http.StatusOK, map[string]any{"status": 2554})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.granted(r)
	if g == nil {
		answer(w, http.StatusOK, map[string]any{"status": 503, "body": map[string]any{}, "error": "Invalid Params: invalid refresh_token"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": 0, "body": map[string]any{
		"userid": g.user, "access_token": g.latest, "refresh_token": g.refresh, "scope": "user.metrics", "token_type": "Bearer",
		"expires_in": int(g.access[g.latest].Sub(f.now()).Seconds()),
	}})
}

func (f *Fake) withingsRevoke(w http.ResponseWriter, r *http.Request) {
	if !f.signed(r) {
		answer(w, http.StatusOK, map[string]any{"status": 2554})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.all {
		if g.host == r.Host && g.user == r.PostForm.Get("userid") {
			g.revoked = true
		}
	}
	answer(w, http.StatusOK, map[string]any{"status": 0, "body": map[string]any{}})
}
