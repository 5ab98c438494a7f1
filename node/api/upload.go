package api

import (
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Uploads that go on where they stopped, by tus 1.0.0 with its extensions creation,
// expiration and termination (https://tus.io/protocols/resumable-upload).
const (
	uploadsPath   = "/v1/ingest/uploads"
	tusVersion    = "1.0.0"
	tusExtensions = "creation,expiration,termination"
	offsetType    = "application/offset+octet-stream"
)

var (
	errTusVersion  = problem.New(problem.Invalid, "the header Tus-Resumable is missing or of another version: want 1.0.0")
	errTusType     = problem.New(problem.Invalid, "the body is no part of an upload: want the content type application/offset+octet-stream")
	errTusOffset   = problem.New(problem.Invalid, "the header Upload-Offset is no whole number of 0 or more")
	errTusLength   = problem.New(problem.Invalid, "the header Upload-Length is no whole number of 0 or more: an upload needs the size of its file from the beginning")
	errTusMetadata = problem.New(problem.Invalid, "the header Upload-Metadata is malformed: want names with values in Base64, such as filename bGFiLmNzdg==, between commas")
	errTusTooLarge = problem.New(problem.TooLarge, "the file is larger than this node takes: see the header Tus-Max-Size")
	errTusOverride = problem.New(problem.Invalid, "want the method PATCH, HEAD or DELETE, or one of them in X-HTTP-Method-Override")
)

// tusStatuses are the statuses that tus wants where ours are others.
var tusStatuses = []struct {
	err    error
	status int
}{
	{errTusVersion, http.StatusPreconditionFailed},
	{errTusType, http.StatusUnsupportedMediaType},
	{errTusOverride, http.StatusMethodNotAllowed},
	{ingest.ErrUploadExpired, http.StatusGone},
	{ingest.ErrUploadBusy, http.StatusLocked},
}

// tus adapts a handler of uploads.
func (s *server) tus(handler func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Tus-Resumable", tusVersion)
		err := s.admit(c)
		if err == nil && c.Request.Method != http.MethodOptions && c.GetHeader("Tus-Resumable") != tusVersion {
			c.Header("Tus-Version", tusVersion)
			err = errTusVersion
		}
		if err == nil {
			err = handler(c)
		}
		if err == nil {
			return
		}
		doc := front.Blame(c.Request.Context(), s.cfg.Logger, c.FullPath(), err)
		for _, known := range tusStatuses {
			if errors.Is(err, known.err) {
				doc.Status = known.status
			}
		}
		front.WriteProblem(c.Writer, doc)
	}
}

func (s *server) routeUploads() {
	one := uploadsPath + "/:id"
	s.router.OPTIONS(uploadsPath, s.tus(s.tusOptions))
	s.router.POST(uploadsPath, s.tus(s.createUpload))
	s.router.HEAD(one, s.tus(s.uploadOffset))
	s.router.PATCH(one, s.tus(s.appendUpload))
	s.router.DELETE(one, s.tus(s.dropUpload))
	s.router.POST(one, s.tus(s.overridden))
	s.documentUploads()
}

// tusOptions says what of tus there is.
func (s *server) tusOptions(c *gin.Context) error {
	c.Header("Tus-Version", tusVersion)
	c.Header("Tus-Extension", tusExtensions)
	c.Header("Tus-Max-Size", strconv.FormatInt(s.cfg.MaxFile, 10))
	c.Status(http.StatusNoContent)
	return nil
}

func (s *server) createUpload(c *gin.Context) error {
	size, err := strconv.ParseUint(c.GetHeader("Upload-Length"), 10, 63)
	if err != nil {
		return errTusLength
	}
	metadata := c.GetHeader("Upload-Metadata")
	name, err := fileName(metadata)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c.Request.Header)
	if err != nil {
		return err
	}
	u, err := s.cfg.Loads.CreateUpload(c.Request.Context(), key, name, metadata, int64(size))
	if errors.Is(err, raw.ErrTooLarge) {
		return errTusTooLarge
	}
	if err != nil {
		return retry(err)
	}
	c.Header("Location", uploadsPath+"/"+u.ID.String())
	c.Header("Upload-Expires", u.Expires.UTC().Format(http.TimeFormat))
	c.Status(http.StatusCreated)
	return nil
}

// fileName returns the filename of an Upload-Metadata header, "" if it has none.
func fileName(metadata string) (name string, err error) {
	if metadata == "" {
		return "", nil
	}
	names := make(map[string]bool)
	for pair := range strings.SplitSeq(metadata, ",") {
		key, value, _ := strings.Cut(strings.Trim(pair, " "), " ")
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err != nil || key == "" || names[key] {
			return "", errTusMetadata
		}
		if names[key] = true; key == "filename" {
			name = string(decoded)
		}
	}
	return name, nil
}

func uploadID(c *gin.Context) (raw.PartialID, error) {
	id, err := raw.ParsePartialID(c.Param("id"))
	if err != nil {
		return id, ingest.ErrUpload
	}
	return id, nil
}

// uploadOffset says how much of an upload is durable.
func (s *server) uploadOffset(c *gin.Context) error {
	id, err := uploadID(c)
	if err != nil {
		return err
	}
	u, err := s.cfg.Loads.Upload(c.Request.Context(), id)
	if err != nil {
		return retry(err)
	}
	if u.Metadata != "" {
		c.Header("Upload-Metadata", u.Metadata)
	}
	c.Header("Upload-Length", strconv.FormatInt(u.Size, 10))
	return stands(c, http.StatusOK, u)
}

// appendUpload takes the next bytes of an upload.
func (s *server) appendUpload(c *gin.Context) error {
	id, err := uploadID(c)
	if err != nil {
		return err
	}
	if kind, _, _ := mime.ParseMediaType(c.GetHeader("Content-Type")); kind != offsetType {
		return errTusType
	}
	offset, err := strconv.ParseUint(c.GetHeader("Upload-Offset"), 10, 63)
	if err != nil {
		return errTusOffset
	}
	body := &noting{r: c.Request.Body}
	u, err := s.cfg.Loads.AppendUpload(c.Request.Context(), id, int64(offset), body)
	switch {
	case errors.Is(err, ingest.ErrUploadSize):
		return err
	case err != nil:
		return uploadError(body.err, err)
	}
	return stands(c, http.StatusNoContent, u)
}

// stands answers with how an upload stands.
func stands(c *gin.Context, status int, u ingest.Upload) error {
	c.Header("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	c.Header("Upload-Expires", u.Expires.UTC().Format(http.TimeFormat))
	if u.Job != 0 {
		c.Header("Trialmesh-Job", strconv.FormatInt(int64(u.Job), 10))
		c.Header("Trialmesh-File", u.File.String())
	}
	c.Status(status)
	return nil
}

func (s *server) dropUpload(c *gin.Context) error {
	id, err := uploadID(c)
	if err != nil {
		return err
	}
	if err := s.cfg.Loads.DropUpload(c.Request.Context(), id); err != nil {
		return retry(err)
	}
	c.Status(http.StatusNoContent)
	return nil
}

// overridden is for clients that can send no other method than POST.
func (s *server) overridden(c *gin.Context) error {
	switch c.GetHeader("X-HTTP-Method-Override") {
	case http.MethodPatch:
		return s.appendUpload(c)
	case http.MethodHead:
		return s.uploadOffset(c)
	case http.MethodDelete:
		return s.dropUpload(c)
	}
	return errTusOverride
}
