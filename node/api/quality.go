package api

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/report"
)

// Quality makes data quality reports; report.Service is one.
type Quality interface {
	// Last returns the last report, or an error of type problem.Error if there is none.
	Last(ctx context.Context) (report.Report, error)

	// Run makes a report. It takes seconds to minutes.
	Run(ctx context.Context) (report.Report, error)
}

// problemPage is how many problems of a load are read at once.
const problemPage = 1000

func (s *server) routeQuality() {
	tags := []string{"quality"}
	get(s, huma.Operation{
		OperationID: "quality", Path: "/v1/quality", Summary: "The last data quality report", Tags: tags,
		Description: "Checks of everything that is stored in the categories of Kahn et al. (2016). It is for the site's own people and does not leave the site; it holds counts and distributions, no identifier and no value of a single person.",
	}, func(ctx context.Context, _ *struct{}) (*body[report.Report], error) {
		last, err := s.cfg.Quality.Last(ctx)
		return &body[report.Report]{last}, err
	})
	post(s, huma.Operation{
		OperationID: "runQuality", Path: "/v1/quality/runs", Summary: "Make a data quality report", Tags: tags,
		Description: "The answer comes when the report is made and kept: some seconds for a million measurements. Outliers by the site's rules are marked and marks of earlier runs renewed. While one is being made another one is a conflict.",
	}, func(ctx context.Context, _ *struct{}) (*body[report.Report], error) {
		made, err := s.cfg.Quality.Run(ctx)
		return &body[report.Report]{made}, retry(err)
	})
	get(s, huma.Operation{
		OperationID: "jobReport", Path: "/v1/ingest/jobs/{id}/report", Summary: "The data quality report of a load", Tags: []string{"loads"},
		Description: "Rules that the file's records broke, with counts, by category. It grows until the load is over.",
	}, s.jobReport)
	s.router.GET(report.StylePath, func(c *gin.Context) { c.Data(200, "text/css; charset=utf-8", report.Style) })
	s.router.GET("/quality", s.router.Handle(s.qualityPage))
}

func (s *server) jobReport(ctx context.Context, in *jobPath) (*body[report.Load], error) {
	id, err := jobID(in.ID)
	if err != nil {
		return nil, err
	}
	job, err := s.cfg.Loads.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	var all []ingest.Problem
	for {
		list, err := s.cfg.Loads.Problems(ctx, id, len(all), problemPage)
		if err != nil {
			return nil, err
		}
		if all = append(all, list...); len(list) < problemPage {
			return &body[report.Load]{loadReport(job, all)}, nil
		}
	}
}

// loadReport is the report of a load with its state as the API names it.
func loadReport(j ingest.Job, listed []ingest.Problem) report.Load {
	l := report.OfLoad(j, listed)
	if name, other := states[j.State]; other {
		l.State = name
	}
	return l
}

// qualityPage shows the last report and what the latest loads have found. Names of
// files may name patients, so loads stand on it by number.
func (s *server) qualityPage(c *gin.Context) error {
	if !onLoopback(c.Request) {
		return errLoopback
	}
	p := report.Page{Name: s.cfg.Name}
	switch last, err := s.cfg.Quality.Last(c.Request.Context()); {
	case err == nil:
		p.Report = &last
	case !errors.Is(err, report.ErrNone):
		return err
	}
	jobs, err := s.cfg.Loads.Jobs(c.Request.Context(), 0, pageJobs)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		p.Loads = append(p.Loads, loadReport(j, nil))
	}
	c.Header("Content-Type", "text/html; charset=utf-8")
	return report.WritePage(c.Writer, p)
}
