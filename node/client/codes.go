package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// CodeEntry says which standard concept a code means at the site. The names are those of
// SOURCE_TO_CONCEPT_MAP of OMOP CDM 5.4.
type CodeEntry struct {
	Code          string `json:"source_code"`
	Vocabulary    string `json:"source_vocabulary_id"`
	Description   string `json:"source_code_description"`
	SourceConcept int64  `json:"source_concept_id"`
	Target        int64  `json:"target_concept_id"`
	TargetIn      string `json:"target_vocabulary_id"`
	From          string `json:"valid_start_date"`
	To            string `json:"valid_end_date"`
	Invalid       string `json:"invalid_reason"`
}

// UnmappedCode is a code without a standard concept in what the node has stored.
type UnmappedCode struct {
	Vocabulary string `json:"source_vocabulary_id"` // None if its system is not known
	Code       string `json:"source_code"`
	Name       string `json:"source_code_description,omitempty"`
	Table      string `json:"table"`
	Unit       bool   `json:"unit"`
	Rows       int64  `json:"rows"`
	Persons    int64  `json:"persons"`
}

// Codes returns the site's maps of its own codes: a version, 0 for the newest, of one
// source vocabulary or of all.
func (c *Client) Codes(ctx context.Context, vocabulary string, number int) (version int, list []CodeEntry, err error) {
	query := url.Values{}
	if vocabulary != "" {
		query.Set("vocabulary", vocabulary)
	}
	query.Set("version", strconv.Itoa(number))
	list, err = pages(query, func(q string) ([]CodeEntry, int, error) {
		a, err := ask[struct {
			Version, Total int
			Codes          []CodeEntry
		}](ctx, c, http.MethodGet, "/v1/codes?"+q, "", nil)
		version = a.Version
		query.Set("version", strconv.Itoa(version)) // all pages of one
		return a.Codes, a.Total, err
	})
	return version, list, err
}

// CodeVersions returns the versions of the maps, newest first.
func (c *Client) CodeVersions(ctx context.Context) ([]Version, error) {
	a, err := ask[struct{ Versions []Version }](ctx, c, http.MethodGet, "/v1/codes/versions", "", nil)
	return a.Versions, err
}

// ImportCodes maps codes by a file of SOURCE_TO_CONCEPT_MAP; replace drops the rows of
// source vocabularies that the file does not have too.
func (c *Client) ImportCodes(ctx context.Context, file io.Reader, replace bool) (Version, error) {
	return ask[Version](ctx, c, http.MethodPost, "/v1/codes?replace="+strconv.FormatBool(replace), "text/csv", file)
}

// Unmapped returns the codes without a standard concept, by frequency.
func (c *Client) Unmapped(ctx context.Context) ([]UnmappedCode, error) {
	return pages(url.Values{}, func(q string) ([]UnmappedCode, int, error) {
		a, err := ask[struct {
			Total int
			Codes []UnmappedCode
		}](ctx, c, http.MethodGet, "/v1/codes/unmapped?"+q, "", nil)
		return a.Codes, a.Total, err
	})
}
