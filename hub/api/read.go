package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/federation/membership"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// nothing is the input of a route that takes none.
type nothing struct{}

// body is an answer that is all body.
type body[T any] struct{ Body T }

var errDigest = problem.New(problem.Invalid, "a digest has 64 hex digits")

// routeReads adds what the public may read.
func (s *server) routeReads() {
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"public"}}
	}
	register(s, get("trust", "/v1/trust", "What a reader has to know beforehand"), func(context.Context, *nothing) (*body[entry.Trust], error) {
		return &body[entry.Trust]{s.cfg.Network.Trust()}, nil
	})
	register(s, get("nodes", "/v1/nodes", "Nodes by name, with who is there"), s.nodes)
	register(s, get("trials", "/v1/trials", "Trials by id"), s.trials)
	register(s, get("trial", "/v1/trials/{id}", "A trial with its signed approvals"), s.trial)
	register(s, get("enrollments", "/v1/trials/{id}/enrollments", "Who is enrolled in a trial: proofs that name nobody, in the order of the ledger"), s.enrollments)
	register(s, get("circuits", "/v1/circuits", "Circuits whose proofs are accepted"), s.circuits)
	register(s, get("epoch", "/v1/epochs/{digest}", "A node's commitment to its consents"), s.epoch)
}

func (s *server) nodes(ctx context.Context, _ *nothing) (*body[Nodes], error) {
	views, err := s.nodeViews(ctx)
	return &body[Nodes]{Nodes{views}}, err
}

// nodeViews joins who is enrolled with who is present.
func (s *server) nodeViews(ctx context.Context) ([]Node, error) {
	list, err := s.cfg.Registry.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	present := make(map[identity.DID]membership.Member)
	for _, m := range s.cfg.Network.Present() {
		present[m.DID] = m
	}
	views := make([]Node, 0, len(list))
	for _, n := range list {
		view := Node{DID: n.Node, Name: n.Name, Organization: n.Organization, Enrolled: n.Enrolled, Revoked: n.Revoked}
		if m, known := present[n.Node]; known {
			view.Present, view.Since = m.State == membership.Alive, &m.Since
		}
		if spoken, known := s.cfg.Network.Speaks(n.Node); known {
			view.Speaks = &spoken
		}
		if err := s.cfg.Network.Mismatch(n.Node); err != nil {
			view.Update = problem.From(err).Title
		}
		views = append(views, view)
	}
	return views, nil
}

func (s *server) trials(ctx context.Context, _ *nothing) (*body[Trials], error) {
	designs, err := s.designs(ctx)
	return &body[Trials]{Trials{designs}}, err
}

func (s *server) designs(ctx context.Context) ([]trial.Design, error) {
	list, err := s.cfg.Registry.Trials(ctx)
	if err != nil {
		return nil, err
	}
	designs := make([]trial.Design, 0, len(list))
	for _, r := range list {
		design, err := r.Open()
		if err != nil {
			return nil, err
		}
		designs = append(designs, design)
	}
	return designs, nil
}

func (s *server) trial(ctx context.Context, in *struct {
	ID trial.ID `path:"id" maxLength:"64"`
},
) (*body[Trial], error) {
	registration, design, err := s.cfg.Registry.Trial(ctx, in.ID)
	return &body[Trial]{Trial{design, registration}}, err
}

func (s *server) circuits(ctx context.Context, _ *nothing) (*body[Circuits], error) {
	views, err := s.circuitViews(ctx)
	return &body[Circuits]{Circuits{views}}, err
}

func (s *server) circuitViews(ctx context.Context) ([]Circuit, error) {
	list, err := s.cfg.Registry.Circuits(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]Circuit, 0, len(list))
	for _, c := range list {
		views = append(views, Circuit{message.Sum(c.VerifyingKey), c})
	}
	return views, nil
}

func (s *server) epoch(ctx context.Context, in *struct {
	Digest string `path:"digest" pattern:"^[0-9a-f]{64}$"`
},
) (*body[Epoch], error) {
	digest, err := digestOf(in.Digest)
	if err != nil {
		return nil, err
	}
	epoch, err := s.cfg.Registry.Epoch(ctx, digest)
	if errors.Is(err, registry.ErrEpochUnknown) {
		err = problem.New(problem.NotFound, "no such consent epoch")
	}
	return &body[Epoch]{Epoch{epoch.Digest, epoch.LedgerIndex, epoch.Epoch}}, err
}

func digestOf(text string) (message.Digest, error) {
	var digest message.Digest
	if digest.UnmarshalText([]byte(text)) != nil {
		return digest, errDigest
	}
	return digest, nil
}

// listedEnrollments is how many enrollments an answer has at most.
const listedEnrollments = 1000

func (s *server) enrollments(ctx context.Context, in *struct {
	ID    trial.ID `path:"id" maxLength:"64"`
	After int64    `query:"after" default:"-1" minimum:"-1" doc:"Those after this entry of the ledger, for the next 1,000"`
},
) (*body[Enrollments], error) {
	list, all, err := s.cfg.Registry.Enrollments(ctx, in.ID, in.After, listedEnrollments)
	out := Enrollments{Enrolled: all, Enrollments: make([]Enrollment, 0, len(list))}
	for _, e := range list {
		out.Enrollments = append(out.Enrollments, Enrollment{e.LedgerIndex, e.At, e.Enrollment})
	}
	return &body[Enrollments]{out}, err
}
