// Package cdshooks is the CDS Hooks 2.0 service of a node: it tells a clinician, in their
// own EHR, that the patient in front of them may be eligible for a trial.
//
// [New] makes a handler for all that is below [Path]: the discovery document, the two
// services (hooks patient-view and order-select), and their feedback. Every request is
// signed by an EHR that [Clients] knows; whoever is not known hears nothing. Which trials
// there are and whom they are for is package screen's; this one speaks to the EHR and
// keeps what came of its cards ([Feedback]).
//
// A request names a patient, so no part of one is in an error, a log line or the trail.
// No address that a request names is followed. DESIGN.md says what is used of a request
// and what is not.
//
// Source: HL7 CDS Hooks 2.0, https://cds-hooks.hl7.org/2.0/.
package cdshooks

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/screen"
)

//go:embed migrations
var migrations embed.FS

// Path is where the service lies on its host.
const Path = "/cds-services"

// Patients compares a patient with the site's trials; screen.Screener is one.
type Patients interface {
	// Screen returns the trials that a patient may be eligible for. Refusals are of
	// type problem.Error.
	Screen(ctx context.Context, c screen.Case, now time.Time) ([]screen.Match, error)
}

// Config configures the service. DB, Trail, Clients, Patients, Codes and URL are required.
type Config struct {
	DB       *sqldb.DB
	Trail    *audit.Trail // of DB
	Clients  *Clients
	Patients Patients

	// Codes returns the standard concepts of a code of a code system that is named as
	// FHIR does.
	Codes func(ctx context.Context, system, code string) ([]vocab.Concept, error)

	// URL is where EHRs reach the node, for example "https://trials.hospital.example":
	// what tokens must be for. https, or http on loopback; no path but the one before
	// [Path].
	URL string

	// Origins are the web origins whose pages may call the service. Defaults to none.
	Origins []string

	// Name is the site's, shown on cards.
	Name string

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

func (c Config) validate() error {
	if c.DB == nil || c.Trail == nil || c.Clients == nil || c.Patients == nil || c.Codes == nil || c.Name == "" {
		return errors.New("db, trail, clients, patients, codes and name are required")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(c.URL, "/") ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return errors.New("url: want the https address at which EHRs reach the node, without a slash at its end")
	}
	for i, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return fmt.Errorf("origins: entry %d is not https://host or https://host:port", i)
		}
	}
	return nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// service holds what the handlers use.
type service struct {
	cfg Config
	mux *http.ServeMux
}

// New returns the handler; it starts nothing.
func New(cfg Config) (http.Handler, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("cdshooks: %w", err)
	}
	s := &service{cfg: cfg, mux: http.NewServeMux()}
	for pattern, handler := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET " + Path:                     s.discover,
		"POST " + Path + "/{id}":          s.call,
		"POST " + Path + "/{id}/feedback": s.feedback,
	} {
		s.mux.HandleFunc(pattern, s.handle(handler))
	}
	s.mux.HandleFunc(Path+"/", s.handle(s.nowhere))
	s.mux.HandleFunc(Path, s.handle(s.nowhere))
	return s.shared(s.mux), nil
}

// migrate brings the tables up to date.
func migrate(ctx context.Context, db *sqldb.DB) error {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := sqldb.Migrate(ctx, db, "cds", own); err != nil {
		return fmt.Errorf("cdshooks: %w", err)
	}
	return nil
}

// handle adapts a handler: its errors become problem documents.
func (s *service) handle(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handler(w, r)
		if err == nil {
			return
		}
		document := front.Blame(r.Context(), s.cfg.Log, r.Pattern, err)
		if refused, is := errors.AsType[*refusal](err); is {
			document.Status = refused.status
		}
		front.WriteProblem(w, document)
	}
}

// nowhere answers for what is no address of the service, or not with this method.
func (s *service) nowhere(w http.ResponseWriter, r *http.Request) error {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); strings.HasPrefix(pattern, method) {
			w.Header().Set("Allow", method)
			return errMethod
		}
	}
	return errService
}

// read returns the body, which whoever mounted the handler has limited too.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(strings.ToLower(kind)) != "application/json" {
		return nil, errMedia
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, front.BodyError(err)
	}
	return body, nil
}
