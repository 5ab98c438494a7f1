package api

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const aPatient = `{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-02-03"}`

// ask sends a request with headers, of which Tus-Resumable is one unless it is given
// as "".
func (s *site) ask(method, path string, headers map[string]string, body io.Reader) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Tus-Resumable", tusVersion)
	for name, value := range headers {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, resp.Header, string(raw)
}

// create creates an upload and returns where it is.
func (s *site) create(size int) string {
	s.t.Helper()
	status, header, body := s.ask(http.MethodPost, uploadsPath, map[string]string{
		"Upload-Length": strconv.Itoa(size), "Upload-Metadata": "filename " + base64.StdEncoding.EncodeToString([]byte("lab.ndjson")) + ",relativePath",
	}, nil)
	require.Equal(s.t, http.StatusCreated, status, body)
	return header.Get("Location")
}

func patchOf(offset int) map[string]string {
	return map[string]string{"Upload-Offset": strconv.Itoa(offset), "Content-Type": offsetType}
}

// TestUploadsFollowTus goes through tus 1.0.0 clause by clause, on real stores.
func TestUploadsFollowTus(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStoredSite(t, db)
		status, header, _ := s.ask(http.MethodOptions, uploadsPath, map[string]string{"Tus-Resumable": ""}, nil)
		require.Equal(t, http.StatusNoContent, status)
		require.Equal(t, "1.0.0", header.Get("Tus-Version"))
		require.Equal(t, "creation,expiration,termination", header.Get("Tus-Extension"))
		require.Equal(t, strconv.Itoa(defaultMaxFile), header.Get("Tus-Max-Size"))

		at := s.create(len(aPatient))
		status, header, _ = s.ask(http.MethodHead, at, nil, nil)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []string{"0", strconv.Itoa(len(aPatient)), "no-store", "1.0.0"},
			[]string{header.Get("Upload-Offset"), header.Get("Upload-Length"), header.Get("Cache-Control"), header.Get("Tus-Resumable")})
		require.Equal(t, "filename bGFiLm5kanNvbg==,relativePath", header.Get("Upload-Metadata"), "as it was sent")
		expires, err := http.ParseTime(header.Get("Upload-Expires"))
		require.NoError(t, err)
		require.True(t, expires.After(time.Now().Add(24*time.Hour)))

		status, header, _ = s.ask(http.MethodPatch, at, patchOf(0), strings.NewReader(aPatient[:10]))
		require.Equal(t, http.StatusNoContent, status)
		require.Equal(t, "10", header.Get("Upload-Offset"))
		require.NotEmpty(t, header.Get("Upload-Expires"))
		require.Empty(t, header.Get("Trialmesh-Job"))
		_, _, body := s.send(http.MethodGet, uploadsPath, "", nil)
		require.Len(t, decode[PartialUploads](t, body).Uploads, 1)

		override := patchOf(10)
		override["X-HTTP-Method-Override"] = "PATCH"
		status, header, _ = s.ask(http.MethodPost, at, override, strings.NewReader(aPatient[10:]))
		require.Equal(t, http.StatusNoContent, status)
		require.Equal(t, strconv.Itoa(len(aPatient)), header.Get("Upload-Offset"))
		job := header.Get("Trialmesh-Job")
		require.Equal(t, message.Sum([]byte(aPatient)).String(), header.Get("Trialmesh-File"))
		_, _, body = s.send(http.MethodGet, "/v1/ingest/jobs/"+job, "", nil)
		require.Equal(t, "lab.ndjson", decode[Job](t, body).Name)
		_, _, body = s.send(http.MethodGet, at, "", nil)
		require.Equal(t, job, decode[PartialUpload](t, body).JobID)
		_, _, body = s.send(http.MethodGet, uploadsPath, "", nil)
		require.Empty(t, decode[PartialUploads](t, body).Uploads)

		status, _, _ = s.ask(http.MethodDelete, at, nil, nil)
		require.Equal(t, http.StatusNoContent, status)
		status, header, _ = s.ask(http.MethodHead, at, nil, nil)
		require.Equal(t, http.StatusNotFound, status)
		require.Empty(t, header.Get("Upload-Offset"))
		status, _, _ = s.send(http.MethodGet, "/v1/ingest/jobs/"+job, "", nil)
		require.Equal(t, http.StatusOK, status, "the load goes on")
	})
}

func TestWhatUploadsRefuse(t *testing.T) {
	t.Parallel()
	s := newStoredSite(t, sqltest.SQLite(t))
	at := s.create(10)
	with := func(headers map[string]string, name, value string) map[string]string {
		headers[name] = value
		return headers
	}
	length := func(value string) map[string]string { return map[string]string{"Upload-Length": value} }
	for name, c := range map[string]struct {
		method, path string
		headers      map[string]string
		body         string
		status       int
		says         string
	}{
		"no token":            {"POST", uploadsPath, with(length("10"), "Authorization", ""), "", 401, "bearer token"},
		"no version":          {"POST", uploadsPath, with(length("10"), "Tus-Resumable", ""), "", 412, "want 1.0.0"},
		"another version":     {"PATCH", at, with(patchOf(0), "Tus-Resumable", "0.2.2"), "x", 412, "want 1.0.0"},
		"no length":           {"POST", uploadsPath, nil, "", 422, "Upload-Length"},
		"a deferred length":   {"POST", uploadsPath, map[string]string{"Upload-Defer-Length": "1"}, "", 422, "from the beginning"},
		"a negative length":   {"POST", uploadsPath, length("-1"), "", 422, "Upload-Length"},
		"a file of no byte":   {"POST", uploadsPath, length("0"), "", 422, "empty"},
		"a length over all":   {"POST", uploadsPath, length("17179869185"), "", 413, "Tus-Max-Size"},
		"metadata in clear":   {"POST", uploadsPath, with(length("10"), "Upload-Metadata", "filename lab.csv"), "", 422, "Base64"},
		"metadata twice":      {"POST", uploadsPath, with(length("10"), "Upload-Metadata", "a Zg==,a Zg=="), "", 422, "Upload-Metadata"},
		"another type":        {"PATCH", at, with(patchOf(0), "Content-Type", "text/csv"), "x", 415, offsetType},
		"no offset":           {"PATCH", at, map[string]string{"Content-Type": offsetType}, "x", 422, "Upload-Offset"},
		"another offset":      {"PATCH", at, patchOf(3), "x", 409, "HEAD"},
		"a byte too many":     {"PATCH", at, patchOf(0), "0123456789a", 413, "more bytes"},
		"an id of no upload":  {"PATCH", uploadsPath + "/00000000000000000000000000000000", patchOf(0), "x", 404, "create one"},
		"an id that is none":  {"PATCH", uploadsPath + "/..%2f..%2fetc", patchOf(0), "x", 404, ""},
		"a method of nowhere": {"POST", at, patchOf(0), "x", 405, "X-HTTP-Method-Override"},
		"a key not in quotes": {"POST", uploadsPath, with(length("10"), "Idempotency-Key", "abc"), "", 422, "double quotes"},
	} {
		status, header, body := s.ask(c.method, c.path, c.headers, strings.NewReader(c.body))
		require.Equal(t, c.status, status, "%s: %s", name, body)
		require.Equal(t, "application/problem+json", header.Get("Content-Type"), name)
		require.Equal(t, c.status, decode[problem.Document](t, body).Status, name)
		require.Contains(t, body, c.says, name)
		if c.status == http.StatusPreconditionFailed {
			require.Equal(t, "1.0.0", header.Get("Tus-Version"), name)
		}
	}
	_, header, _ := s.ask(http.MethodHead, at, nil, nil)
	require.Equal(t, "0", header.Get("Upload-Offset"), "nothing of it was kept")
}

// TestARequestThatBreaksOffCounts: what came of it is durable, and a second request
// meanwhile is turned away.
func TestARequestThatBreaksOffCounts(t *testing.T) {
	t.Parallel()
	s := newStoredSite(t, sqltest.SQLite(t))
	at := s.create(len(aPatient))
	body, feed := io.Pipe()
	begun := make(chan struct{}) // the node says 100 when it begins to read, the upload being claimed
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(begun) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, s.url+at, body)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "Tus-Resumable": tusVersion, "Upload-Offset": "0", "Content-Type": offsetType, "Expect": "100-continue",
	} {
		req.Header.Set(name, value)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := s.client.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	_, err = feed.Write([]byte(aPatient[:20]))
	require.NoError(t, err)
	<-begun
	status, _, _ := s.ask(http.MethodPatch, at, patchOf(1), strings.NewReader("x"))
	require.Equal(t, http.StatusLocked, status)
	require.NoError(t, feed.CloseWithError(io.ErrUnexpectedEOF))
	<-gone
	require.Eventually(t, func() bool {
		_, header, _ := s.ask(http.MethodHead, at, nil, nil)
		return header.Get("Upload-Offset") == "20"
	}, time.Minute, time.Millisecond)
}

func TestTheSameKeyIsTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := newStoredSite(t, sqltest.SQLite(t))
	key := func(k string) map[string]string { return map[string]string{"Idempotency-Key": k} }
	for _, path := range []string{filesPath, observationsPath} {
		content := map[string]string{filesPath: aPatient, observationsPath: onePulse}[path]
		k := key(`"` + path + ` \"quoted\" \\"`)
		status, first, body := s.ask(http.MethodPost, path, k, strings.NewReader(content))
		require.Equal(t, http.StatusAccepted, status, body)
		status, second, same := s.ask(http.MethodPost, path, k, strings.NewReader(content))
		require.Equal(t, http.StatusAccepted, status)
		require.Equal(t, body, same)
		require.Equal(t, first.Get("Location"), second.Get("Location"))
		status, _, body = s.ask(http.MethodPost, path, k, strings.NewReader(content+" "))
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, body, "used for another request")
		for _, bad := range []string{"a", `""`, `"a`, `"a" b`, `"a"b"`, `"\a"`, `"` + strings.Repeat("k", 256) + `"`, "\"\t\""} {
			status, _, body = s.ask(http.MethodPost, path, key(bad), strings.NewReader(content))
			require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", bad, body)
			require.Contains(t, body, "double quotes")
		}
	}
	create := map[string]string{"Upload-Length": "5", "Idempotency-Key": `"u"`}
	_, first, _ := s.ask(http.MethodPost, uploadsPath, create, nil)
	_, second, _ := s.ask(http.MethodPost, uploadsPath, create, nil)
	require.NotEmpty(t, first.Get("Location"))
	require.Equal(t, first.Get("Location"), second.Get("Location"))
}

func TestJobsAreListedByState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for state, want := range map[string]int{"queued": 1, "failed": 0, "completed+with+problems": 0} {
		status, _, body := s.send(http.MethodGet, "/v1/ingest/jobs?state="+state, "", nil)
		require.Equal(t, http.StatusOK, status, body)
		require.Len(t, decode[Jobs](t, body).Jobs, want, state)
	}
	status, _, _ := s.send(http.MethodGet, "/v1/ingest/jobs?state=dead", "", nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
}

func FuzzUploadMetadata(f *testing.F) {
	for _, seed := range []string{"", "filename bGFi", "a,b", "filename bGFi,is_confidential", " , ", "filename ====", "filename bGFi,filename bGFi"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, metadata string) {
		name, err := fileName(metadata)
		if err == nil && name != "" {
			require.True(t, bytes.Contains([]byte(metadata), []byte(base64.StdEncoding.EncodeToString([]byte(name)))))
		}
	})
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", `"a"`, "a", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`, `"\\\""`, `"a";b=1`, `"`, `""`, `"a" `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, err := idempotencyKey(http.Header{"Idempotency-Key": {header}})
		if err != nil {
			return
		}
		require.NotEmpty(t, key)
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(key))
		require.Equal(t, strings.Trim(header, " \t"), `"`+escaped+`"`, "there is one way to write a key")
	})
}
