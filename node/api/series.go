package api

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const observationsPath = "/v1/ingest/observations"

var errObservations = problem.New(problem.Invalid, `the body is no document of observations: want {"source": …, "observations": […]}, the source first`)

// Observations is the body of a request that brings time series.
type Observations struct {
	Source       string        `json:"source" pattern:"^[A-Za-z0-9._:-]{1,64}$" doc:"Kind of device, interface or program that the values come from; nothing that identifies a person"`
	Observations []Observation `json:"observations" nullable:"false"`
}

// Observation is values of one code of one person: a time and a value, or a column
// of each.
type Observation struct {
	Person string    `json:"person" maxLength:"64" doc:"id of the FHIR Patient, who has to be loaded before"`
	System string    `json:"system,omitempty" maxLength:"256" example:"http://loinc.org"`
	Code   string    `json:"code" maxLength:"256" example:"8867-4"`
	Unit   string    `json:"unit,omitempty" maxLength:"256" doc:"UCUM code" example:"/min"`
	Time   string    `json:"time,omitempty" doc:"RFC 3339, or whole milliseconds since 1970 UTC as a number"`
	Value  float64   `json:"value,omitempty"`
	Times  []int64   `json:"times,omitempty" nullable:"false" doc:"Milliseconds since 1970 UTC, or texts of RFC 3339"`
	Values []float64 `json:"values,omitempty" nullable:"false" doc:"As many as times"`
}

// Accepted is what a request brought, and is durable.
type Accepted struct {
	JobID string `json:"jobId"`
}

// Series is a kind of value that the node has time series of. Points that a load has
// brought in the last seconds are not counted yet.
type Series struct {
	System  string    `json:"system"`
	Code    string    `json:"code"`
	Unit    string    `json:"unit" doc:"UCUM"`
	Concept int64     `json:"concept" doc:"Standard concept of OMOP, 0 for none"`
	Persons int64     `json:"persons"`
	Points  int64     `json:"points"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// AllSeries are the kinds of value, by system and code.
type AllSeries struct {
	Series []Series `json:"series" nullable:"false"`
}

func (s *server) routeSeries() {
	s.router.POST(observationsPath, s.authorized(s.observe))
	s.document(huma.Operation{
		OperationID: "observe", Method: http.MethodPost, Path: observationsPath, Summary: "Bring time series", Tags: []string{"loads"},
		Description: "The answer comes when the body is durable; then a load stores its values. What cannot be stored is a problem of the load, by observation. The same values again change nothing, another value for the same person, code, unit, source and time replaces the earlier one.",
		Security:    []map[string][]string{{bearer: {}}},
		Parameters:  []*huma.Param{keyParam()},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: s.router.Schema(Observations{})}}},
	}, http.StatusAccepted, "application/json", s.router.Schema(Accepted{}))
	get(s, huma.Operation{OperationID: "series", Path: "/v1/series", Summary: "What the node has time series of", Tags: []string{"series"}}, s.series)
}

// observe keeps a document of observations and enqueues its load.
func (s *server) observe(c *gin.Context) error {
	key, err := idempotencyKey(c.Request.Header)
	if err != nil {
		return err
	}
	sent := &noting{r: c.Request.Body}
	body := bufio.NewReader(sent)
	if head, _ := body.Peek(64); sent.err == nil && !observation.Detect(head) {
		return errObservations
	}
	_, job, err := s.cfg.Loads.AcceptOnce(ingest.SentBy(c.Request.Context(), "api", "observations"), key, "observations", body)
	if err != nil {
		return uploadError(sent.err, err)
	}
	id := strconv.FormatInt(int64(job), 10)
	c.Header("Location", "/v1/ingest/jobs/"+id)
	c.JSON(http.StatusAccepted, Accepted{JobID: id})
	return nil
}

func (s *server) series(ctx context.Context, in *struct {
	System string `query:"system" maxLength:"256" doc:"Only of this code system"`
	Code   string `query:"code" maxLength:"256" doc:"Only this code"`
},
) (*body[AllSeries], error) {
	all, err := s.cfg.Series(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Series, 0, len(all))
	for _, v := range all {
		if (in.System == "" || v.System == in.System) && (in.Code == "" || v.Code == in.Code) {
			list = append(list, v)
		}
	}
	return &body[AllSeries]{AllSeries{list}}, nil
}
