package api

import (
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

const variablesPath = "/v1/variables"

// Variable is a kind of value that the node checks and has a meaning for.
type Variable struct {
	System    string         `json:"system" example:"http://loinc.org"`
	Code      string         `json:"code" example:"8480-6"`
	Display   string         `json:"display"`
	Concept   int64          `json:"concept" doc:"Standard concept of OMOP"`
	Category  string         `json:"category" example:"vital-signs"`
	Unit      string         `json:"unit" doc:"Canonical unit, UCUM"`
	Units     []VariableUnit `json:"units" nullable:"false" doc:"Units that values may come in"`
	ValidFrom string         `json:"validFrom,omitempty" format:"date" doc:"First day of which values are checked by it; absent for no limit"`
	ValidTo   string         `json:"validTo,omitempty" format:"date" doc:"Last such day"`
	Site      bool           `json:"site" doc:"Added or changed by the site"`
}

// VariableUnit is a unit of a variable with the bounds of values in it.
type VariableUnit struct {
	Unit     string   `json:"unit" doc:"UCUM"`
	Concepts []int64  `json:"concepts" nullable:"false" doc:"Concepts of OMOP that mean it"`
	Low      *float64 `json:"low,omitempty" doc:"Below, a value is implausible: it is kept and marked"`
	High     *float64 `json:"high,omitempty" doc:"Above, a value is implausible"`
	Min      *float64 `json:"min,omitempty" doc:"Below, a value is impossible: it is kept and left out of answers"`
	Max      *float64 `json:"max,omitempty" doc:"Above, a value is impossible"`
}

// Variables is a page of one version of the list.
type Variables struct {
	Version   int        `json:"version"`
	Total     int        `json:"total" doc:"How many fit the request"`
	Variables []Variable `json:"variables" nullable:"false"`
}

// Version is one version of a list of reference data.
type Version struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	Entries int       `json:"entries"`
	Digest  string    `json:"digest" doc:"SHA-256 of the list's file"`
}

// Versions are those of a list, newest first; the first one is in force.
type Versions struct {
	Versions []Version `json:"versions" nullable:"false"`
}

func (s *server) routeVariables() {
	tags := []string{"reference"}
	get(s, huma.Operation{
		OperationID: "variables", Path: variablesPath, Summary: "What the node checks and has a meaning for", Tags: tags,
		Description: "Values of these codes are checked for their unit and range when they are loaded. Every version of the list can be asked for.",
	}, s.listVariables)
	get(s, huma.Operation{OperationID: "variableVersions", Path: variablesPath + "/versions", Summary: "Versions of the list of variables", Tags: tags}, func(ctx context.Context, _ *struct{}) (*body[Versions], error) {
		return versionsOf(s.cfg.Variables.Versions(ctx))
	})
	s.router.POST(variablesPath, s.authorized(s.importVariables))
	s.document(huma.Operation{
		OperationID: "importVariables", Method: http.MethodPost, Path: variablesPath, Summary: "Add or change variables", Tags: tags,
		Description: "The body is a list, CSV or YAML. Its variables are added, or take the place of those with the same system and code; the answer is the new version, which loads from now on use. A file with a fault changes nothing.",
		Security:    []map[string][]string{{bearer: {}}}, Parameters: []*huma.Param{replaceParam("Drop what the site has added and changed before")},
		RequestBody: fileBody("text/csv", "application/yaml"),
	}, http.StatusOK, "application/json", s.router.Schema(Version{}))
}

// replaceParam describes the parameter that drops what was imported before.
func replaceParam(doc string) *huma.Param {
	return &huma.Param{Name: "replace", In: "query", Description: doc, Schema: &huma.Schema{Type: huma.TypeBoolean}}
}

// fileBody describes a body that is a file.
func fileBody(types ...string) *huma.RequestBody {
	content := make(map[string]*huma.MediaType, len(types))
	for _, t := range types {
		content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return &huma.RequestBody{Required: true, Content: content}
}

func (s *server) listVariables(ctx context.Context, in *struct {
	Category string `query:"category" maxLength:"64" doc:"Only of this category"`
	System   string `query:"system" maxLength:"256" doc:"Only of this code system"`
	Code     string `query:"code" maxLength:"256" doc:"Only this code"`
	Version  int    `query:"version" minimum:"0" doc:"Of this version; the newest if absent"`
	Paging
},
) (*body[Variables], error) {
	list, err := s.cfg.Variables.List(ctx, in.Version)
	if err != nil {
		return nil, err
	}
	var fit []Variable
	for _, v := range list.All() {
		if (in.Category == "" || v.Category == in.Category) && (in.System == "" || v.System == in.System) && (in.Code == "" || v.Code == in.Code) {
			fit = append(fit, variableOf(v))
		}
	}
	return &body[Variables]{Variables{Version: list.Version, Total: len(fit), Variables: part(in.Paging, fit)}}, nil
}

// Paging says which part of a list an answer has.
type Paging struct {
	Offset int `query:"offset" minimum:"0" doc:"How many to skip"`
	Limit  int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many to list"`
}

// part is that part, never nil.
func part[T any](p Paging, all []T) []T {
	from := min(p.Offset, len(all))
	return append([]T{}, all[from:min(from+p.Limit, len(all))]...)
}

func variableOf(v variable.Variable) Variable {
	out := Variable{
		System: v.System, Code: v.Code, Display: v.Display, Concept: v.Concept, Category: v.Category, Unit: v.Units[0].Code,
		ValidFrom: dayUnless(v.From, variable.Always), ValidTo: dayUnless(v.To, variable.Forever), Site: v.Site,
	}
	for _, u := range v.Units {
		out.Units = append(out.Units, VariableUnit{Unit: u.Code, Concepts: u.Concepts, Low: bound(u.Low), High: bound(u.High), Min: bound(u.Min), Max: bound(u.Max)})
	}
	return out
}

func bound(n float64) *float64 {
	if math.IsInf(n, 0) {
		return nil
	}
	return &n
}

func dayUnless(d, none sqldb.Date) string {
	if d == none {
		return ""
	}
	return d.String()
}

func versionOf(v reference.Version) Version {
	return Version{Version: v.Number, At: v.At.UTC(), Entries: v.Entries, Digest: v.Digest}
}

func versionsOf(list []reference.Version, err error) (*body[Versions], error) {
	out := Versions{Versions: make([]Version, 0, len(list))}
	for _, v := range list {
		out.Versions = append(out.Versions, versionOf(v))
	}
	return &body[Versions]{out}, err
}

// importVariables makes a version of a file.
func (s *server) importVariables(c *gin.Context) error {
	return s.importFile(c, s.cfg.Variables.Import)
}

// importFile reads a whole file, which the front has bounded, and answers with the
// version that is made of it.
func (s *server) importFile(c *gin.Context, do func(ctx context.Context, content []byte, replace bool, now time.Time) (reference.Version, error)) error {
	replace, _ := strconv.ParseBool(c.Query("replace"))
	content, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return front.BodyError(err)
	}
	version, err := do(c.Request.Context(), content, replace, s.cfg.Now())
	if err != nil {
		return retry(err)
	}
	c.JSON(http.StatusOK, versionOf(version))
	return nil
}
