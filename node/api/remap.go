package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Remaps loads files again that are kept raw; ingest.Service does.
type Remaps interface {
	// RemapFile loads one file again, or returns [ingest.ErrFile].
	RemapFile(ctx context.Context, file raw.Digest) (ingest.Remapped, error)

	// Remap loads all files again, or those whose rows another mapper has made.
	Remap(ctx context.Context, outdated bool) (ingest.Remapped, error)
}

var errRemap = problem.New(problem.Invalid, "want one of file, all and outdated")

// Remap says which files to load again: exactly one field is set.
type Remap struct {
	File     string `json:"file,omitempty" pattern:"^[0-9a-f]{64}$" doc:"Only this one, by its fileId"`
	Outdated bool   `json:"outdated,omitempty" doc:"Those whose rows were made with other reference data, or by another version of the program, than today's"`
	All      bool   `json:"all,omitempty" doc:"All whose load is over"`
}

// Remapped is what is loaded again.
type Remapped struct {
	Files int      `json:"files"`
	Jobs  []string `json:"jobs" nullable:"false" doc:"Of the first 1,000 of them"`
}

func (s *server) routeRemap() {
	post(s, huma.Operation{
		OperationID: "remap", Path: "/v1/ingest/remap", Summary: "Map files again", Tags: []string{"loads"}, DefaultStatus: http.StatusAccepted,
		Description: "The raw copies are loaded again with the vocabulary, variables, codes and mappings of today, each as a load of its own. When it ends, rows that the earlier one made of its file and this one does not are gone. What is waiting already stays as it is, so the request can be repeated.",
	}, s.remap)
}

func (s *server) remap(ctx context.Context, in *struct{ Body Remap }) (*body[Remapped], error) {
	want := in.Body
	var done ingest.Remapped
	var err error
	switch {
	case want.File != "" && !want.Outdated && !want.All:
		var file raw.Digest
		if file, err = raw.ParseDigest(want.File); err != nil {
			return nil, errRemap
		}
		done, err = s.cfg.Remaps.RemapFile(ctx, file)
	case want.File == "" && want.Outdated != want.All:
		done, err = s.cfg.Remaps.Remap(ctx, want.Outdated)
	default:
		return nil, errRemap
	}
	if err != nil {
		return nil, retry(err)
	}
	view := Remapped{Files: done.Files, Jobs: make([]string, len(done.Jobs))}
	for i, id := range done.Jobs {
		view.Jobs[i] = strconv.FormatInt(int64(id), 10)
	}
	return &body[Remapped]{view}, nil
}
