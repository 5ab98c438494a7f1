package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Variable is a kind of value that the node checks and has a meaning for.
type Variable struct {
	System    string         `json:"system"`
	Code      string         `json:"code"`
	Display   string         `json:"display"`
	Concept   int64          `json:"concept"`
	Category  string         `json:"category"`
	Unit      string         `json:"unit"` // canonical
	Units     []VariableUnit `json:"units"`
	ValidFrom string         `json:"validFrom,omitempty"`
	ValidTo   string         `json:"validTo,omitempty"`
	Site      bool           `json:"site"`
}

// VariableUnit is a unit of a variable; a bound that is nil is none.
type VariableUnit struct {
	Unit     string   `json:"unit"`
	Concepts []int64  `json:"concepts"`
	Low      *float64 `json:"low,omitempty"`
	High     *float64 `json:"high,omitempty"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
}

// Unit is a unit of UCUM that has a definition of its own.
type Unit struct {
	System    string   `json:"system"`
	Code      string   `json:"code"`
	Name      string   `json:"name"`
	Synonyms  []string `json:"synonyms"`
	Symbol    string   `json:"symbol,omitempty"`
	Property  string   `json:"property"`
	Dimension string   `json:"dimension"`
	Class     string   `json:"class"`
	Base      bool     `json:"base"`
	Metric    bool     `json:"metric"`
	Special   bool     `json:"special"`
	Arbitrary bool     `json:"arbitrary"`
}

// Version is one version of a list of reference data.
type Version struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	Entries int       `json:"entries"`
	Digest  string    `json:"digest"`
}

// Selection says what of a list is wanted; a field that is empty does not matter.
// Version 0 is the newest.
type Selection struct {
	Category, System, Code string
	Version                int
}

// pageSize is how many entries the node gives at once.
const pageSize = 1000

// pages asks for all pages of a list: get returns one and how many entries there are.
func pages[T any](query url.Values, get func(query string) ([]T, int, error)) ([]T, error) {
	var all []T
	for {
		query.Set("offset", strconv.Itoa(len(all)))
		query.Set("limit", strconv.Itoa(pageSize))
		list, total, err := get(query.Encode())
		if all = append(all, list...); err != nil || len(list) == 0 || len(all) >= total {
			return all, err
		}
	}
}

func (s Selection) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"category": s.Category, "system": s.System, "code": s.Code} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.Version != 0 {
		q.Set("version", strconv.Itoa(s.Version))
	}
	return q
}

// Variables returns the variables of a selection and the version they are of.
func (c *Client) Variables(ctx context.Context, s Selection) (version int, list []Variable, err error) {
	query := s.query()
	list, err = pages(query, func(q string) ([]Variable, int, error) {
		a, err := ask[struct {
			Version, Total int
			Variables      []Variable
		}](ctx, c, http.MethodGet, "/v1/variables?"+q, "", nil)
		version = a.Version
		query.Set("version", strconv.Itoa(version)) // all pages of one
		return a.Variables, a.Total, err
	})
	return version, list, err
}

// VariableVersions returns the versions of the list of variables, newest first.
func (c *Client) VariableVersions(ctx context.Context) ([]Version, error) {
	a, err := ask[struct{ Versions []Version }](ctx, c, http.MethodGet, "/v1/variables/versions", "", nil)
	return a.Versions, err
}

// ImportVariables adds or changes variables by a file, CSV or YAML; replace drops those
// that were imported before.
func (c *Client) ImportVariables(ctx context.Context, file io.Reader, replace bool) (Version, error) {
	return ask[Version](ctx, c, http.MethodPost, "/v1/variables?replace="+strconv.FormatBool(replace), "text/csv", file)
}

// Units returns the units of a code system, of all if it is empty.
func (c *Client) Units(ctx context.Context, system string) ([]Unit, error) {
	return pages(Selection{System: system}.query(), func(q string) ([]Unit, int, error) {
		a, err := ask[struct {
			Total int
			Units []Unit
		}](ctx, c, http.MethodGet, "/v1/units?"+q, "", nil)
		return a.Units, a.Total, err
	})
}
