package api

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/hub/ledger"
	verifypage "github.com/trialmesh/trialmesh/hub/page"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// How much the status page shows.
const (
	pageQuestions = 10
	pageAnchors   = 5
)

//go:embed page.html
var pageSource string

// page is the status page.
type page struct {
	Now       time.Time
	Trust     entry.Trust
	Ledger    checkpoint
	Anchors   []entry.Anchor
	Nodes     []Node
	Trials    []trial.Design
	Circuits  []Circuit
	Questions []Question

	names map[identity.DID]string
}

// checkpoint is what a signed checkpoint says, as text.
type checkpoint struct{ Origin, Size, Root string }

func (s *server) routePage() {
	source := template.Must(template.New("page").Funcs(template.FuncMap{
		"day":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
		"cell":  func(levels []string) string { return strings.Join(levels, ", ") },
		"short": func(f *float64) string { return strconv.FormatFloat(*f, 'g', 4, 64) },
		"float": func(f *float64) string { return strconv.FormatFloat(*f, 'f', 2, 64) },
	}).Parse(pageSource))
	s.router.GET(front.StylePath, gin.WrapF(front.Style))
	verify := verifypage.Handler()
	s.router.GET("/verify", s.router.Handle(func(c *gin.Context) error { return verify(c.Writer, c.Request) }))
	s.router.GET("/", s.router.Handle(func(c *gin.Context) error {
		p, err := s.page(c.Request.Context())
		if err != nil {
			return err
		}
		return front.WritePage(c.Writer, source, p)
	}))
}

func (s *server) page(ctx context.Context) (page, error) {
	p := page{Now: s.cfg.Now(), Trust: s.cfg.Network.Trust(), names: make(map[identity.DID]string)}
	var err error
	if p.Ledger, err = s.checkpoint(ctx); err != nil {
		return p, err
	}
	if p.Anchors, err = s.cfg.Registry.Anchors(ctx, pageAnchors); err != nil {
		return p, err
	}
	if p.Nodes, err = s.nodeViews(ctx); err != nil {
		return p, err
	}
	for _, n := range p.Nodes {
		p.names[n.DID] = n.Name
	}
	if p.Trials, err = s.designs(ctx); err != nil {
		return p, err
	}
	if p.Circuits, err = s.circuitViews(ctx); err != nil {
		return p, err
	}
	p.Questions, err = s.questionViews(ctx, pageQuestions)
	return p, err
}

// checkpoint reads the newest checkpoint for show; whoever relies on it checks
// its signature.
func (s *server) checkpoint(ctx context.Context) (checkpoint, error) {
	signed, err := s.cfg.Ledger.Read(ctx, "checkpoint")
	if errors.Is(err, ledger.ErrNotFound) {
		return checkpoint{Size: "0"}, nil
	}
	if err != nil {
		return checkpoint{}, err
	}
	lines := strings.SplitN(string(signed), "\n", 4)
	if len(lines) < 4 {
		return checkpoint{}, errors.New("the published checkpoint is malformed")
	}
	return checkpoint{Origin: lines[0], Size: lines[1], Root: lines[2]}, nil
}

// Name returns what a node is called here.
func (p page) Name(did identity.DID) string {
	if name, known := p.names[did]; known {
		return name
	}
	return string(did)
}

// Development reports whether proofs could be forged by whoever made the keys.
func (p page) Development() bool {
	for _, c := range p.Circuits {
		if c.Development {
			return true
		}
	}
	return false
}

// Short is the beginning of a question's id, enough to ask for it.
func (q Question) Short() string { return q.ID.String()[:12] }

// Moments reports whether cells have means.
func (q Question) Moments() bool { return q.Request.Analysis.Kind == query.Moments }

// OnChain returns how many of the proofs the chain has logged.
func (q Question) OnChain() int {
	n := 0
	for _, a := range q.Accesses {
		if a.Tx != "" {
			n++
		}
	}
	return n
}
