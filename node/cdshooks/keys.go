package cdshooks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// How sets of keys are fetched: how long one may take, how long it counts, and how soon
// it is fetched again for a key that is not in it.
const (
	keysTime  = 3 * time.Second
	keysLife  = 10 * time.Minute
	keysPause = 30 * time.Second
)

var errKeys = problem.New(problem.Unavailable, "the EHR's keys could not be fetched from its registered address")

// keyCache remembers the sets of keys at registered addresses.
type keyCache struct {
	web *http.Client

	mu   sync.Mutex // held while a set is fetched, so that it is fetched once
	sets map[string]fetched
}

type fetched struct {
	set jose.JSONWebKeySet
	err error
	at  time.Time
}

func newKeyCache(web http.RoundTripper) *keyCache {
	return &keyCache{sets: map[string]fetched{}, web: &http.Client{
		Transport: web, Timeout: keysTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect is not followed") },
	}}
}

// fetch returns the set at a registered address, which is one of few. One that lacks the
// key is fetched again, as EHRs change their keys, but not at every request.
func (c *keyCache) fetch(ctx context.Context, address, kid string, now time.Time) (jose.JSONWebKeySet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.sets[address]
	if known && now.Before(last.at.Add(keysPause)) || known && last.err == nil && len(last.set.Key(kid)) > 0 && now.Before(last.at.Add(keysLife)) {
		return last.set, last.err
	}
	last = fetched{at: now}
	last.set, last.err = c.get(ctx, address)
	if ctx.Err() == nil { // a caller who left is no reason to stop asking
		c.sets[address] = last
	}
	return last.set, last.err
}

func (c *keyCache) get(ctx context.Context, address string) (jose.JSONWebKeySet, error) {
	none := jose.JSONWebKeySet{}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return none, errKeys
	}
	r.Header.Set("Accept", "application/json")
	answer, err := c.web.Do(r) //nolint:gosec // an address that the operator registered, https, without redirects
	if err != nil {
		return none, errKeys
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, MaxKeys+1))
	if err != nil || answer.StatusCode != http.StatusOK {
		return none, errKeys
	}
	var set jose.JSONWebKeySet
	if len(text) > MaxKeys || json.Unmarshal(text, &set) != nil {
		return none, errKeys
	}
	// EHRs have keys for other ends in the same set.
	set.Keys = slices.DeleteFunc(set.Keys, func(k jose.JSONWebKey) bool { return !k.IsPublic() || k.KeyID == "" || !usable(k) })
	for i := range set.Keys {
		set.Keys[i].Algorithm = string(algorithmOf(set.Keys[i].Key))
	}
	return set, nil
}
