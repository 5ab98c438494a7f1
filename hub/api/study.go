package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// StudyVersion is a version of a saved study, without what it says.
type StudyVersion struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	Title       string         `json:"title"`
	Trial       trial.ID       `json:"trial"`
	Author      identity.DID   `json:"author"`
	Digest      message.Digest `json:"digest" doc:"SHA-256 of what the study says, which its questions' requests name"`
	Questions   int            `json:"questions"`
	Registered  time.Time      `json:"registered"`
	LedgerIndex int64          `json:"ledgerIndex"`
}

// Studies is the answer of GET /v1/studies.
type Studies struct {
	Studies []StudyVersion `json:"studies" nullable:"false"`
}

// Study is a version of a saved study with what it says and what was asked of it.
type Study struct {
	StudyVersion
	Study    study.Study      `json:"study"`
	Envelope message.Envelope `json:"envelope" doc:"The study as its author signed it"`
	Asked    []AskedOfStudy   `json:"asked" nullable:"false" doc:"The newest questions that were asked as one of the study, 1000 at most"`
}

// AskedOfStudy is a question that was asked as one of a study.
type AskedOfStudy struct {
	Name       string       `json:"name" doc:"In the study"`
	ID         query.ID     `json:"id"`
	Researcher identity.DID `json:"researcher"`
	State      query.State  `json:"state"`
}

// maxAsked bounds the questions that are shown of a study.
const maxAsked = 1000

// routeStudies adds registering and reading studies.
func (s *server) routeStudies() {
	tags := []string{"studies"}
	register(s, huma.Operation{
		OperationID: "studies", Method: http.MethodGet, Path: "/v1/studies", Summary: "Versions of saved studies, newest first", Tags: tags,
	}, s.studies)
	register(s, huma.Operation{
		OperationID: "study", Method: http.MethodGet, Path: "/v1/studies/{ref}", Summary: "A version of a saved study", Tags: tags,
		Description: "NAME@VERSION, or NAME for the newest version.",
	}, s.study)
	register(s, s.only(registry.RoleResearcher, huma.Operation{
		OperationID: "registerStudy", Method: http.MethodPost, Path: "/v1/studies", Summary: "Register a version of a study", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: "A version never changes; registering the same again is harmless.",
	}), s.registerStudy)
}

func (s *server) registerStudy(ctx context.Context, in *struct{ Body message.Envelope }) (*body[Recorded], error) {
	if err := signedBy(ctx, in.Body); err != nil {
		return nil, err
	}
	return s.propose(ctx, registry.RegisterStudy{Envelope: in.Body})
}

func (s *server) studies(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20"`
},
) (*body[Studies], error) {
	list, err := s.cfg.Registry.Studies(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	views := make([]StudyVersion, 0, len(list))
	for _, v := range list {
		views = append(views, studyVersionOf(v))
	}
	return &body[Studies]{Studies{views}}, nil
}

func (s *server) study(ctx context.Context, in *struct {
	Ref string `path:"ref" maxLength:"96"`
},
) (*body[Study], error) {
	name, version, err := study.ParseRef(in.Ref)
	if err != nil {
		return nil, err
	}
	v, err := s.cfg.Registry.Study(ctx, name, version)
	if err != nil {
		return nil, err
	}
	asked, err := s.cfg.Registry.StudyQuestions(ctx, v.Digest, maxAsked)
	if err != nil {
		return nil, err
	}
	view := Study{StudyVersion: studyVersionOf(v), Study: v.Study, Envelope: v.Envelope, Asked: make([]AskedOfStudy, 0, len(asked))}
	for _, q := range asked {
		view.Asked = append(view.Asked, AskedOfStudy(q))
	}
	return &body[Study]{view}, nil
}

func studyVersionOf(v registry.Study) StudyVersion {
	return StudyVersion{
		Name: v.Name, Version: v.Version, Title: v.Title, Trial: v.Trial, Author: v.Envelope.Issuer, Digest: v.Digest,
		Questions: len(v.Questions), Registered: v.Registered, LedgerIndex: v.LedgerIndex,
	}
}
