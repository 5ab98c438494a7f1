package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// Remap says which files to map again; exactly one field is set.
type Remap struct {
	File     string `json:"file,omitempty"` // by its digest
	Outdated bool   `json:"outdated,omitempty"`
	All      bool   `json:"all,omitempty"`
}

// Remapped is what is loaded again.
type Remapped struct {
	Files int      `json:"files"`
	Jobs  []string `json:"jobs"` // of the first 1,000 of them
}

// Remap makes the node load files again that it has kept, with the reference data of
// today.
func (c *Client) Remap(ctx context.Context, want Remap) (Remapped, error) {
	body, err := json.Marshal(want)
	if err != nil {
		return Remapped{}, err
	}
	return ask[Remapped](ctx, c, http.MethodPost, "/v1/ingest/remap", "application/json", bytes.NewReader(body))
}
