package fhirapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/access"
)

// address is the type and id that a request names.
func address(r *http.Request) (resourceType, id string, err error) {
	resourceType, id = r.PathValue("type"), r.PathValue("id")
	if !storable[resourceType] {
		return "", "", errType
	}
	if id != "" && !idForm.MatchString(id) {
		return "", "", errID
	}
	return resourceType, id, nil
}

// read answers with the newest version of a resource.
func (s *server) read(w http.ResponseWriter, r *http.Request) error {
	return s.readOne(w, r, func(ctx context.Context, tx *sqldb.Tx, resourceType, id string) (fhirstore.Version, error) {
		return s.cfg.Store.Head(ctx, tx, resourceType, id)
	})
}

// readVersion answers with one version of a resource.
func (s *server) readVersion(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil {
		return errUnknown
	}
	return s.readOne(w, r, func(ctx context.Context, tx *sqldb.Tx, resourceType, id string) (fhirstore.Version, error) {
		return s.cfg.Store.Version(ctx, tx, resourceType, id, version)
	})
}

func (s *server) readOne(w http.ResponseWriter, r *http.Request, get func(context.Context, *sqldb.Tx, string, string) (fhirstore.Version, error)) error {
	resourceType, id, err := address(r)
	if err != nil {
		return err
	}
	if err := permit(r.Context(), resourceType, access.Read); err != nil {
		return err
	}
	found := make([]fhirstore.Version, 1)
	if err := s.cfg.DB.Read(r.Context(), func(tx *sqldb.Tx) (err error) {
		found[0], err = get(r.Context(), tx, resourceType, id)
		return err
	}); err != nil {
		return err
	}
	stamp(w.Header(), found[0])
	if found[0].Deleted {
		return errGone
	}
	if r.Header.Get("If-None-Match") == etag(found[0]) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	leave, err := s.memory.take(r.Context(), sizeOf(found))
	if err != nil {
		return err
	}
	defer leave()
	if err := s.cfg.Store.Load(r.Context(), found); err != nil {
		return err
	}
	if err := s.audit(r.Context(), resourceType, 1); err != nil {
		return err
	}
	return writeBody(w, http.StatusOK, found[0].Body)
}

func etag(v fhirstore.Version) string { return fmt.Sprintf(`W/"%d"`, v.Version) }

// stamp says in the header which version the answer is about.
func stamp(h http.Header, v fhirstore.Version) {
	h.Set("ETag", etag(v))
	h.Set("Last-Modified", v.Updated.Format(http.TimeFormat))
}

func writeBody(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON is no page, and nobody is left to tell if the client is gone
	return nil
}

// preference is the value of one preference of the Prefer header, RFC 7240; "" if none.
func preference(r *http.Request, name string) string {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ';' }) {
			key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if strings.EqualFold(strings.TrimSpace(key), name) {
				return strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return ""
}
