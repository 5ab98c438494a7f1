package servertest

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// theirs is where the pages of a published answer lead: to a server that made them.
const theirs = "https://syntheticmass.mitre.org/v1/fhir/"

// search answers with the page that the parameter page names. Links to the next page in a
// document of Config.Pages have the URL NEXT, or that of the server which made it.
func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") != "application/fhir+json" {
		s.t.Errorf("search: want Accept: application/fhir+json")
	}
	q := r.URL.Query()
	page, _ := strconv.Atoi(q.Get("page")) // 0 for the first
	for _, p := range []string{"page", "_count", "page_token", "_lastUpdated"} {
		q.Del(p)
	}
	of := strings.TrimPrefix(r.URL.Path, root+"/")
	if len(q) > 0 {
		of += "?" + q.Encode()
	}
	pages, known := s.cfg.Pages[of]
	if !known || page < 0 || page >= len(pages) {
		Outcome(http.StatusNotFound, "not-supported")(w, r, nil)
		return
	}
	next := r.URL.Query()
	next.Set("page", strconv.Itoa(page+1))
	to := s.Base + "/" + strings.TrimPrefix(r.URL.Path, root+"/") + "?" + next.Encode()
	w.Header().Set("Content-Type", "application/fhir+json")
	w.Header().Set("Date", s.cfg.Now().UTC().Format(http.TimeFormat))
	_, _ = w.Write(relink(pages[page], to)) //nolint:gosec // a test's own pages, as far as the client reads
}

// relink replaces the URL of the link that is called next.
func relink(page []byte, to string) []byte {
	page = bytes.ReplaceAll(page, []byte(`"NEXT"`), []byte(strconv.Quote(to)))
	relation := bytes.LastIndex(page, []byte(`","relation":"next"`))
	if relation < 0 {
		return page
	}
	begin := bytes.LastIndex(page[:relation], []byte(`"url":"`+theirs))
	if begin < 0 {
		return page
	}
	return bytes.Join([][]byte{page[:begin], []byte(`"url":`), []byte(strconv.Quote(to)[:len(strconv.Quote(to))-1]), page[relation:]}, nil)
}
