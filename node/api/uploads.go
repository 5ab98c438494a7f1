package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// PartialUpload is a file that comes bit by bit.
type PartialUpload struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Size    int64     `json:"size" doc:"Bytes of the whole file"`
	Offset  int64     `json:"offset" doc:"Bytes of it that are durable"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires" doc:"When it is forgotten"`
	FileID  string    `json:"fileId,omitempty" doc:"SHA-256 of the content, once the file is whole"`
	JobID   string    `json:"jobId,omitempty" doc:"Once the file is whole"`
}

// PartialUploads are the files of which something is missing.
type PartialUploads struct {
	Uploads []PartialUpload `json:"uploads" nullable:"false"`
}

func uploadOf(u ingest.Upload) PartialUpload {
	view := PartialUpload{ID: u.ID.String(), Name: u.Name, Size: u.Size, Offset: u.Offset, Created: u.Created.UTC(), Expires: u.Expires.UTC()}
	if u.Job != 0 {
		view.FileID, view.JobID = u.File.String(), strconv.FormatInt(int64(u.Job), 10)
	}
	return view
}

func (s *server) uploads(ctx context.Context, _ *struct{}) (*body[PartialUploads], error) {
	list, err := s.cfg.Loads.Uploads(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]PartialUpload, 0, len(list))
	for _, u := range list {
		views = append(views, uploadOf(u))
	}
	return &body[PartialUploads]{PartialUploads{views}}, nil
}

func (s *server) uploadState(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"32"`
},
) (*body[PartialUpload], error) {
	id, err := raw.ParsePartialID(in.ID)
	if err != nil {
		return nil, ingest.ErrUpload
	}
	u, err := s.cfg.Loads.Upload(ctx, id)
	if err != nil {
		return nil, retry(err)
	}
	return &body[PartialUpload]{uploadOf(u)}, nil
}

// documentUploads describes what tus asks for, and adds what it does not have.
func (s *server) documentUploads() {
	tags, one := []string{"uploads"}, uploadsPath+"/{id}"
	get(s, huma.Operation{OperationID: "uploads", Path: uploadsPath, Summary: "Uploads that wait for more, oldest first", Tags: tags}, s.uploads)
	get(s, huma.Operation{OperationID: "uploadState", Path: one, Summary: "How an upload stands", Tags: tags}, s.uploadState)

	header := func(name, what string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Required: true, Description: what, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	version := header("Tus-Resumable", tusVersion)
	length := header("Upload-Length", "Bytes of the whole file")
	offset := header("Upload-Offset", "Where the body begins in the file: as HEAD says")
	metadata := header("Upload-Metadata", "Names with values in Base64, between commas; filename is for people, the others are given back only")
	metadata.Required = false
	id := &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	binary := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{offsetType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}

	s.documentTus("uploadOptions", http.MethodOptions, uploadsPath, http.StatusNoContent, "What of tus there is", tags,
		"Tus-Version", "Tus-Extension", "Tus-Max-Size")
	s.documentTus("createUpload", http.MethodPost, uploadsPath, http.StatusCreated, "Create an upload that can go on where it stopped, by tus 1.0.0", tags,
		"Location", "Upload-Expires").Parameters = []*huma.Param{version, length, metadata, keyParam()}
	s.documentTus("uploadOffset", http.MethodHead, one, http.StatusOK, "How much of an upload is durable", tags,
		"Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires", "Trialmesh-Job", "Trialmesh-File").Parameters = []*huma.Param{version, id}
	add := s.documentTus("appendUpload", http.MethodPatch, one, http.StatusNoContent, "Add to an upload", tags,
		"Upload-Offset", "Upload-Expires", "Trialmesh-Job", "Trialmesh-File")
	add.Description = "What came is durable when the answer comes, and what came of a request that broke off counts as well: HEAD says how much. When the last byte has come the file is loaded, and the answer names its job and the SHA-256 of its content."
	add.Parameters, add.RequestBody = []*huma.Param{version, id, offset}, binary
	s.documentTus("dropUpload", http.MethodDelete, one, http.StatusNoContent, "Forget an upload; the load of one that is whole goes on", tags).Parameters = []*huma.Param{version, id}
}

// documentTus describes a route of tus, whose answers are headers.
func (s *server) documentTus(id, method, path string, status int, summary string, tags []string, headers ...string) *huma.Operation {
	answers := map[string]*huma.Param{"Tus-Resumable": {Schema: &huma.Schema{Type: huma.TypeString}}}
	for _, name := range headers {
		answers[name] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op := &huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: tags, Security: []map[string][]string{{bearer: {}}},
		Responses: map[string]*huma.Response{
			strconv.Itoa(status): {Description: http.StatusText(status), Headers: answers},
			"default": {Description: "Error", Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: s.router.Schema(problem.Document{})},
			}},
		},
	}
	s.router.API.OpenAPI().AddOperation(op)
	return op
}
