package cdshooks

import (
	"net/http"
	"slices"
)

// shared lets pages of the configured origins call the service (CORS, as of the Fetch
// standard). Without any no page may, and no header says otherwise.
func (s *service) shared(next http.Handler) http.Handler {
	if len(s.cfg.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		allowed := slices.Contains(s.cfg.Origins, r.Header.Get("Origin"))
		if allowed {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		if allowed {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
