package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func TestAFileIsUploadedAsABodyOrAForm(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("{}\n", 100_000)
	form := func(withFile bool) (string, io.Reader) {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		require.NoError(t, w.WriteField("note", "not the file"))
		if withFile {
			part, err := w.CreateFormFile("file", "form.ndjson")
			require.NoError(t, err)
			_, err = io.WriteString(part, content)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return w.FormDataContentType(), &buf
	}
	formType, formBody := form(true)
	for name, c := range map[string]struct {
		path, mediaType string
		body            io.Reader
		stored          string
	}{
		"body":          {filesPath + "?name=st-anna.ndjson", "application/x-ndjson", strings.NewReader(content), "st-anna.ndjson"},
		"unnamed body":  {filesPath, "application/octet-stream", strings.NewReader(content), ""},
		"form":          {filesPath, formType, formBody, "form.ndjson"},
		"body of a MiB": {filesPath + "?name=big", "application/octet-stream", strings.NewReader(content), "big"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			status, header, body := s.send(http.MethodPost, c.path, c.mediaType, c.body)
			require.Equal(t, http.StatusAccepted, status, body)
			require.Equal(t, Upload{FileID: message.Sum([]byte(content)).String(), JobID: "7"}, decode[Upload](t, body))
			require.Equal(t, "/v1/ingest/jobs/7", header.Get("Location"))
			require.Equal(t, content, string(s.files[c.stored]))
		})
	}
	emptyType, emptyBody := form(false)
	status, _, body := newSite(t).send(http.MethodPost, filesPath, emptyType, emptyBody)
	require.Equal(t, http.StatusUnprocessableEntity, status, body)
}

func TestAnUploadThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		kind   problem.Kind
	}{
		"too large for the store": {fmt.Errorf("put %s: %w", thePatient, raw.ErrTooLarge), 413, problem.TooLarge},
		"empty file":              {ingest.ErrEmpty, 422, problem.Invalid},
		"name of 256 bytes":       {ingest.ErrName, 422, problem.Invalid},
		"full disk":               {fmt.Errorf("put %s: %w", thePatient, sqldb.ErrFull), 503, problem.Unavailable},
		"bucket away":             {fmt.Errorf("put %s: %w", thePatient, sqldb.ErrUnavailable), 503, problem.Unavailable},
		"locked database":         {fmt.Errorf("put %s: %w", thePatient, sqldb.ErrLocked), 503, problem.Unavailable},
		"anything else":           {errors.New("bug with " + thePatient), 500, problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.fail(c.err)
			status, header, body := s.send(http.MethodPost, filesPath, "application/json", strings.NewReader("{}"))
			require.Equal(t, c.status, status)
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.Equal(t, "urn:trialmesh:problem:"+string(c.kind), decode[problem.Document](t, body).Type)
			require.NotContains(t, body, thePatient, "a cause stays in the log")
		})
	}
}

func TestAFileOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.MaxFile = 1000 })
	for name, body := range map[string]io.Reader{
		"announced":   strings.NewReader(strings.Repeat("x", 1001)),
		"unannounced": io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))),
	} {
		status, _, answer := s.send(http.MethodPost, filesPath, "application/json", body)
		require.Equal(t, http.StatusRequestEntityTooLarge, status, "%s: %s", name, answer)
		require.Equal(t, "urn:trialmesh:problem:too-large", decode[problem.Document](t, answer).Type)
	}
	require.Empty(t, s.files)
}

func TestAJobIsShownAsClientsKnowIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodGet, "/v1/ingest/jobs/7?limit=1&offset=1", "", nil)
	require.Equal(t, http.StatusOK, status)
	job := decode[Job](t, body)
	require.Equal(t, "completed with problems", job.State)
	require.EqualValues(t, 4, job.Unmapped)
	require.Nil(t, job.Ended)
	require.Contains(t, body, `"findings":{}`, "nothing was counted, which is no null")
	require.Equal(t, []Problem{{File: "st-anna.json", Line: 9, Path: "entry[8].resource.code", Rule: "fhir.type"}}, job.Problems)

	status, _, body = s.send(http.MethodGet, "/v1/ingest/jobs", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "queued", decode[Jobs](t, body).Jobs[0].State, "a job that will be tried again is not over")
	require.NotContains(t, body, `"held"`)
	for _, c := range []struct {
		why  error
		want string
	}{
		{fmt.Errorf("put %s: %w", thePatient, sqldb.ErrFull), "no room is left"},
		{sqldb.ErrLocked, "another program"},
		{errors.New("bug with " + thePatient), "the log says why"},
	} {
		s.hold(c.why)
		_, _, body = s.send(http.MethodGet, "/v1/ingest/jobs", "", nil)
		require.Contains(t, decode[Jobs](t, body).Jobs[0].Held, c.want)
		require.NotContains(t, body, thePatient)
		_, _, body = s.send(http.MethodGet, "/v1/ingest/jobs/7", "", nil)
		require.NotContains(t, body, `"held"`, "a load that is over waits for nothing")
	}

	for path, want := range map[string]int{"/v1/ingest/jobs/8": 404, "/v1/ingest/jobs/x": 422, "/v1/ingest/jobs/7?limit=9999": 422} {
		status, _, body = s.send(http.MethodGet, path, "", nil)
		require.Equal(t, want, status, body)
	}
}

func TestAJobIsCancelledAndTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, act := range []string{"cancel", "retry"} {
		status, _, body := s.send(http.MethodPost, "/v1/ingest/jobs/7/"+act, "", nil)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, "7", decode[Job](t, body).ID)
		status, _, _ = s.send(http.MethodPost, "/v1/ingest/jobs/8/"+act, "", nil)
		require.Equal(t, http.StatusNotFound, status)
		status, _, _ = s.send(http.MethodPost, "/v1/ingest/jobs/x/"+act, "", nil)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	require.Equal(t, []string{"cancel", "retry"}, s.acts)

	s.fail(problem.New(problem.Conflict, "the job is over"))
	status, _, body := s.send(http.MethodPost, "/v1/ingest/jobs/7/cancel", "", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "the job is over", decode[problem.Document](t, body).Title)
}
