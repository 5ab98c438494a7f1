package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	stored "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const datasetsPath = "/v1/datasets"

// maxDataset bounds a request with a schema and its file.
const maxDataset = dataset.MaxBytes + stored.MaxSchema + 1<<20

var errParts = problem.New(problem.Invalid, "want a multipart/form-data body of two parts: schema, YAML or JSON, and then file, CSV or Parquet")

// Dataset is a named data set of the site.
type Dataset struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Columns int       `json:"columns"`
	Rows    int64     `json:"rows" doc:"One a person"`
	Loaded  time.Time `json:"loaded"`
}

// Datasets are the site's data sets, by name.
type Datasets struct {
	Datasets []Dataset `json:"datasets" nullable:"false"`
}

// DatasetDetail is a data set with its schema.
type DatasetDetail struct {
	Dataset
	Schema  stored.Schema   `json:"schema"`
	Missing []MissingValues `json:"missing" nullable:"false" doc:"By column, in the order of the schema"`
}

// MissingValues says, coarsely, how many rows have no value of a column.
type MissingValues struct {
	Column string `json:"column"`
	Share  string `json:"share" enum:"none,under 5 %,5 to 20 %,20 to 50 %,over 50 %"`
}

// DroppedDataset is the name of a data set that is no more.
type DroppedDataset struct {
	Name string `json:"name"`
}

// named is the name of a data set in a path.
type named struct {
	Name string `path:"name" maxLength:"40"`
}

func (s *server) routeDatasets() {
	tags := []string{"datasets"}
	get(s, huma.Operation{OperationID: "datasets", Path: datasetsPath, Summary: "The site's named data sets", Tags: tags}, s.listDatasets)
	get(s, huma.Operation{OperationID: "dataset", Path: datasetsPath + "/{name}", Summary: "A data set's schema, and how much of it is missing", Tags: tags}, s.showDataset)
	register(s, huma.Operation{
		OperationID: "dropDataset", Method: http.MethodDelete, Path: datasetsPath + "/{name}", Summary: "Remove a data set with its rows", Tags: tags,
	}, func(ctx context.Context, in *named) (*body[DroppedDataset], error) {
		return &body[DroppedDataset]{DroppedDataset{in.Name}}, retry(s.cfg.Datasets.Drop(ctx, in.Name))
	})
	s.router.POST(datasetsPath, s.authorized(s.loadDataset))
	text := &huma.Schema{Type: huma.TypeString}
	s.document(huma.Operation{
		OperationID: "loadDataset", Method: http.MethodPost, Path: datasetsPath, Summary: "Load a data set", Tags: tags,
		Description: "The file takes the place of all rows of the set that the schema names. A file with a fault changes nothing, unless faulty rows are to be skipped; faults name lines, columns and rules.",
		Security:    []map[string][]string{{bearer: {}}},
		Parameters:  []*huma.Param{{Name: "skip", In: "query", Description: "Leave rows with a fault out", Schema: &huma.Schema{Type: huma.TypeBoolean}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"schema", "file"}, Properties: map[string]*huma.Schema{"schema": text, "file": text},
		}}}},
	}, http.StatusOK, "application/json", s.router.Schema(dataset.Loaded{}))
}

func (s *server) listDatasets(ctx context.Context, _ *struct{}) (*body[Datasets], error) {
	list, err := s.cfg.Datasets.List(ctx)
	out := Datasets{Datasets: make([]Dataset, 0, len(list))}
	for _, set := range list {
		out.Datasets = append(out.Datasets, datasetOf(set))
	}
	return &body[Datasets]{out}, err
}

func (s *server) showDataset(ctx context.Context, in *named) (*body[DatasetDetail], error) {
	set, err := s.cfg.Datasets.Set(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := DatasetDetail{Dataset: datasetOf(set), Schema: set.Schema}
	for i, c := range set.Schema.Columns {
		out.Missing = append(out.Missing, MissingValues{Column: c.Name, Share: shareOf(set.Missing[i], set.Rows)})
	}
	return &body[DatasetDetail]{out}, nil
}

func datasetOf(set stored.Set) Dataset {
	return Dataset{Name: set.Schema.Name, Version: set.Schema.Version, Columns: len(set.Schema.Columns), Rows: set.Rows, Loaded: set.Loaded.UTC()}
}

// shareOf is the band of a number of all.
func shareOf(n, all int64) string {
	switch {
	case n == 0:
		return "none"
	case 20*n < all:
		return "under 5 %"
	case 5*n < all:
		return "5 to 20 %"
	case 2*n <= all:
		return "20 to 50 %"
	}
	return "over 50 %"
}

// loadDataset reads the parts of the body as they come: the schema says how to read the
// file.
func (s *server) loadDataset(c *gin.Context) error {
	skip, _ := strconv.ParseBool(c.Query("skip"))
	parts, err := c.Request.MultipartReader()
	if err != nil {
		return errParts
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "schema" {
		return errors.Join(errParts, err)
	}
	text, err := io.ReadAll(io.LimitReader(part, stored.MaxSchema+1))
	if err != nil {
		return front.BodyError(err)
	}
	schema, err := stored.Parse(text)
	if err != nil {
		return err
	}
	file, err := parts.NextPart()
	if err != nil || file.FormName() != "file" {
		return errors.Join(errParts, err)
	}
	sent := &noting{r: file}
	loaded, err := s.cfg.Datasets.Load(c.Request.Context(), schema, sent, skip)
	if err != nil {
		return uploadError(sent.err, err)
	}
	c.JSON(http.StatusOK, loaded)
	return nil
}
