package servertest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		s.t.Errorf("discovery: a token was sent")
	}
	answer(w, http.StatusOK, map[string]any{
		"token_endpoint": s.http.URL + "/auth/token", "grant_types_supported": []string{"client_credentials"},
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": s.cfg.Algorithms,
		"scopes_supported":                                 []string{"system/*.rs"}, "capabilities": append([]string{"client-confidential-asymmetric"}, s.cfg.Capabilities...),
	})
}

// token gives a token for an assertion.
//
// Source: HL7 SMART App Launch 2.2, "Client Authentication: Asymmetric", section
// "Authenticating to the Token endpoint".
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	switch {
	case r.PostForm.Get("grant_type") != "client_credentials":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	case !strings.HasPrefix(r.PostForm.Get("scope"), "system/"):
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_scope"})
		return
	case r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	if err := s.checkAssertion(r.PostForm.Get("client_assertion")); err != nil {
		s.t.Logf("assertion refused: %v", err)
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_client", "error_description": "Erika Mustermann"})
		return
	}
	text := rand.Text()
	s.mu.Lock()
	s.tokens[text] = s.cfg.Now().Add(s.cfg.TokenTime)
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"access_token": text, "token_type": "bearer", "expires_in": int(s.cfg.TokenTime.Seconds()), "scope": r.PostForm.Get("scope"),
	})
}

// checkAssertion checks all that the specification asks servers to check.
func (s *Server) checkAssertion(text string) error {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil {
		return err
	}
	header := signed.Signatures[0].Header
	if header.ExtraHeaders["typ"] != "JWT" || header.KeyID == "" {
		return errors.New("the header lacks kid, or typ is not JWT")
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(s.cfg.Keys, &keys); err != nil {
		return err
	}
	known := keys.Key(header.KeyID)
	if len(known) != 1 || !known[0].IsPublic() || known[0].Algorithm != header.Algorithm {
		return errors.New("kid is of no registered key of the algorithm")
	}
	payload, err := signed.Verify(known[0])
	if err != nil {
		return err
	}
	var c struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Expiry   int64  `json:"exp"`
		ID       string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return err
	}
	life := time.Unix(c.Expiry, 0).Sub(s.cfg.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.Issuer != s.cfg.Client || c.Subject != s.cfg.Client:
		return errors.New("iss and sub are not the client's id")
	case c.Audience != s.http.URL+"/auth/token":
		return errors.New("aud is not the token endpoint")
	case life <= 0 || life > 5*time.Minute:
		return fmt.Errorf("exp is %s away", life)
	case c.ID == "" || s.seen[c.ID]:
		return errors.New("jti is missing or was used")
	}
	s.seen[c.ID] = true
	return nil
}

// withToken lets those in who have a token, if the server wants any.
func (s *Server) withToken(serve http.HandlerFunc) http.HandlerFunc {
	if s.cfg.Keys == nil {
		return serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		text, is := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		ends, known := s.tokens[text]
		s.mu.Unlock()
		if !is || !known || !s.cfg.Now().Before(ends) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve(w, r)
	}
}
