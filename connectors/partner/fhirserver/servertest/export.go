package servertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// kickoff begins an export, of the system, of all patients or of a group.
func (s *Server) kickoff(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Prefer") != "respond-async" || r.Header.Get("Accept") != "application/fhir+json" {
		s.t.Errorf("kick-off: want GET with Prefer: respond-async and Accept: application/fhir+json")
	}
	q := r.URL.Query()
	if f := q.Get("_outputFormat"); f != "" && f != "application/fhir+ndjson" {
		s.t.Errorf("kick-off: _outputFormat %q", f)
	}
	if since := q.Get("_since"); since != "" {
		if _, err := time.Parse(time.RFC3339Nano, since); err != nil {
			s.t.Errorf("kick-off: _since is no instant: %q", since)
		}
	}
	s.mu.Lock()
	s.exports++
	id := strconv.Itoa(s.exports)
	s.polls[id] = s.cfg.Polls
	s.mu.Unlock()
	w.Header().Set("Content-Location", s.Base+"/status/"+id)
	w.WriteHeader(http.StatusAccepted)
}

// status says how far an export is, and lists its files page by page.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, root+"/status/")
	if r.Header.Get("Accept") != "application/json" {
		s.t.Errorf("status: want Accept: application/json")
	}
	s.mu.Lock()
	left, known := s.polls[id]
	if left > 0 {
		s.polls[id]--
	}
	s.mu.Unlock()
	switch {
	case !known:
		Outcome(http.StatusNotFound, "not-found")(w, r, nil)
		return
	case left > 0:
		w.Header().Set("X-Progress", strconv.Itoa(left)+" steps to go")
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	taken := s.cfg.Time
	if taken.IsZero() {
		taken = s.cfg.Now()
	}
	from, size := 0, len(s.cfg.Output)
	if s.cfg.PageFiles > 0 {
		page, _ := strconv.Atoi(r.URL.Query().Get("page")) // 0 for the first
		from, size = page*s.cfg.PageFiles, s.cfg.PageFiles
	}
	to := min(from+size, len(s.cfg.Output))
	manifest := map[string]any{
		"transactionTime": taken.UTC().Format(time.RFC3339Nano), "request": s.Base + "/$export", "requiresAccessToken": s.cfg.Keys != nil,
		"output": s.list("output", s.cfg.Output, from, to), "deleted": []any{}, "error": []any{},
	}
	if from == 0 {
		manifest["deleted"] = s.list("deleted", s.cfg.Deleted, 0, len(s.cfg.Deleted))
		manifest["error"] = s.list("error", s.cfg.Errors, 0, len(s.cfg.Errors))
	}
	if to < len(s.cfg.Output) {
		manifest["link"] = []any{map[string]string{"relation": "next", "url": s.Base + "/status/" + id + "?page=" + strconv.Itoa(to/s.cfg.PageFiles)}}
	}
	answer(w, http.StatusOK, manifest)
}

func (s *Server) list(kind string, files []File, from, to int) []any {
	list := []any{}
	for i := from; i < to; i++ {
		f := map[string]any{"url": s.Base + "/files/" + kind + "/" + strconv.Itoa(i)}
		if files[i].Type != "" {
			f["type"] = files[i].Type
		}
		list = append(list, f)
	}
	return list
}

// file sends a file, or a part of it.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	kind, number, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, root+"/files/"), "/")
	files := map[string][]File{"output": s.cfg.Output, "deleted": s.cfg.Deleted, "error": s.cfg.Errors}[kind]
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(files) {
		Outcome(http.StatusNotFound, "not-found")(w, r, nil)
		return
	}
	content := files[i].Content
	if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			s.t.Errorf("file: this server has it as gzip only")
		}
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Type", "application/fhir+ndjson")
	if s.cfg.NoRange {
		_, _ = w.Write(content) // as far as the client reads
		return
	}
	sum := sha256.Sum256(content)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// end forgets an export.
func (s *Server) end(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, root+"/status/")
	s.mu.Lock()
	_, known := s.polls[id]
	delete(s.polls, id)
	if known {
		s.deleted = append(s.deleted, id)
	}
	s.mu.Unlock()
	if !known {
		Outcome(http.StatusNotFound, "not-found")(w, r, nil)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
