package client

import (
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	stored "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/node/dataset"
)

// Dataset is a named data set of the site.
type Dataset struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Columns int       `json:"columns"`
	Rows    int64     `json:"rows"`
	Loaded  time.Time `json:"loaded"`
}

// DatasetDetail is a data set with its schema, and how much of each column is missing.
type DatasetDetail struct {
	Dataset
	Schema  stored.Schema `json:"schema"`
	Missing []struct {
		Column string `json:"column"`
		Share  string `json:"share"`
	} `json:"missing"`
}

// LoadDataset replaces the data set that a schema, YAML or JSON, names by the rows of a
// file, CSV or Parquet. Of a file with faults nothing is stored, or with skip the other
// rows. It returns when the set is stored.
func (c *Client) LoadDataset(ctx context.Context, schema []byte, file io.Reader, skip bool) (dataset.Loaded, error) {
	r, w := io.Pipe()
	defer r.Close()
	form := multipart.NewWriter(w)
	go func() { w.CloseWithError(writeParts(form, schema, &source{r: file, left: -1})) }()
	return ask[dataset.Loaded](ctx, c, http.MethodPost, "/v1/datasets?skip="+strconv.FormatBool(skip), form.FormDataContentType(), r)
}

func writeParts(form *multipart.Writer, schema []byte, file io.Reader) error {
	part, err := form.CreateFormField("schema")
	if err != nil {
		return err
	}
	if _, err := part.Write(schema); err != nil {
		return err
	}
	if part, err = form.CreateFormFile("file", "file"); err != nil {
		return err
	}
	if _, err := io.Copy(part, file); err != nil {
		return err
	}
	return form.Close()
}

// Datasets returns the site's data sets by name.
func (c *Client) Datasets(ctx context.Context) ([]Dataset, error) {
	a, err := ask[struct{ Datasets []Dataset }](ctx, c, http.MethodGet, "/v1/datasets", "", nil)
	return a.Datasets, err
}

// Dataset returns the data set of a name.
func (c *Client) Dataset(ctx context.Context, name string) (DatasetDetail, error) {
	return ask[DatasetDetail](ctx, c, http.MethodGet, "/v1/datasets/"+url.PathEscape(name), "", nil)
}

// DropDataset removes a data set with its rows.
func (c *Client) DropDataset(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/datasets/"+url.PathEscape(name), "", nil, nil)
}
