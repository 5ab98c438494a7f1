package api

import (
	_ "embed"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
)

// How much the status page shows.
const (
	pageJobs      = 10
	pageDecisions = 15
)

//go:embed page.html
var pageSource string

// page is the status page. Names of files may name patients, so jobs stand on
// it by number.
type page struct {
	Now       time.Time
	Name      string
	Status    Status
	Jobs      []Job
	Decisions []Decision
}

func (s *server) routePage() {
	source := template.Must(template.New("page").Funcs(template.FuncMap{
		"day":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
		"size": size,
	}).Parse(pageSource))
	s.router.GET(front.StylePath, gin.WrapF(front.Style))
	s.router.GET("/", s.router.Handle(func(c *gin.Context) error {
		if !onLoopback(c.Request) {
			return errLoopback
		}
		p, err := s.page(c)
		if err != nil {
			return err
		}
		return front.WritePage(c.Writer, source, p)
	}))
}

func (s *server) page(c *gin.Context) (page, error) {
	p := page{Now: s.cfg.Now(), Name: s.cfg.Name}
	ctx := c.Request.Context()
	var err error
	if p.Status, err = s.cfg.Status(ctx); err != nil {
		return p, err
	}
	list, err := s.cfg.Loads.Jobs(ctx, 0, pageJobs)
	if err != nil {
		return p, err
	}
	for _, j := range list {
		p.Jobs = append(p.Jobs, s.jobOf(j, nil))
	}
	p.Decisions, err = s.decisions(ctx, pageDecisions)
	return p, err
}

// TableNames returns the tables that hold rows, by name.
func (p page) TableNames() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Status.Tables)) {
		if p.Status.Tables[name] > 0 {
			names = append(names, name)
		}
	}
	return names
}

// size writes a number of bytes for people.
func size(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	value, unit := float64(bytes), 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[unit]
}
