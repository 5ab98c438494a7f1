package fhirapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/access"
)

const everythingOperation = "$everything"

// everything answers with a patient and all that belongs to them, page by page: what
// names the patient as in [belonging]. It takes _count, _since and _type. A client gets
// the types that it may search, and is refused if _type names another.
func (s *server) everything(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !idForm.MatchString(id) {
		return errID
	}
	if err := permit(r.Context(), "Patient", access.Read|access.Search); err != nil {
		return err
	}
	if err := s.cfg.DB.Read(r.Context(), func(tx *sqldb.Tx) error {
		_, err := s.cfg.Store.Head(r.Context(), tx, "Patient", id)
		return err
	}); err != nil {
		return err
	}
	values, types := r.URL.Query(), []string(nil)
	var since []fhirstore.Time
	rest := url.Values{}
	for key, list := range values {
		switch key {
		case "_type":
			types = strings.Split(strings.Join(list, ","), ",")
		case "_since":
			low, _, ok := interval(strings.ReplaceAll(list[0], " ", "+"))
			if !ok || len(list) > 1 {
				return errValue
			}
			since = []fhirstore.Time{{Relation: fhirstore.Starts, Low: low, High: low}}
		case "_count", "_cursor", "_format", "_pretty":
			rest[key] = list
		default:
			return errParameter
		}
	}
	q, err := parseSearch("", rest, false)
	if err != nil {
		return err
	}
	for _, t := range types {
		if !storable[t] {
			return errValue
		}
		if err := permit(r.Context(), t, access.Search); err != nil {
			return err
		}
	}
	if types == nil {
		types = permitted(r.Context()) // with Patient, so never an empty list, which stands for all
	}
	q.used, q.query.Types = values, types
	q.query.Terms = [][]fhirstore.Term{{{Param: compartment, Value: "Patient/" + id}}}
	if since != nil {
		q.query.Since = [][]fhirstore.Time{since}
	}
	return s.page(w, r, q, "Patient "+everythingOperation, base(r)+"/Patient/"+id+"/"+everythingOperation)
}
