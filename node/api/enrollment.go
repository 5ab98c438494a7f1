package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

const enrollmentsPath = "/v1/enrollments"

// Enrollments enrolls participants of the site. Refusals are of type problem.Error.
type Enrollments interface {
	// Enroll has a patient enrolled in a trial; that is durable when it returns, and done
	// later. Enrollments returns the newest, of one trial or, of "", of all.
	Enroll(ctx context.Context, id trial.ID, patient, identifier string) (enrollment.Participant, error)
	Enrollments(ctx context.Context, id trial.ID) ([]enrollment.Participant, error)
}

// noEnrollments is a node that enrolls nobody.
type noEnrollments struct{}

func (noEnrollments) Enroll(context.Context, trial.ID, string, string) (enrollment.Participant, error) {
	return enrollment.Participant{}, problem.New(problem.NotFound, "this node enrolls nobody")
}

func (noEnrollments) Enrollments(context.Context, trial.ID) ([]enrollment.Participant, error) {
	return nil, nil
}

// NewParticipant is a patient to enroll.
type NewParticipant struct {
	Trial      trial.ID `json:"trial" maxLength:"64"`
	Patient    string   `json:"patient" minLength:"1" maxLength:"256" doc:"Id of the patient's FHIR resource at this site"`
	Identifier string   `json:"identifier" minLength:"1" maxLength:"256" doc:"The patient's own, in the system that the trial's design names. It is neither stored nor sent"`
}

// Participant is somebody whom the site enrolls or has enrolled in a trial.
type Participant struct {
	Trial       trial.ID          `json:"trial"`
	Participant identity.DID      `json:"participant" doc:"Who signed the consent"`
	State       enrollment.State  `json:"state" enum:"waiting,enrolled,refused"`
	Asked       time.Time         `json:"asked"`
	Enrolled    *time.Time        `json:"enrolled,omitempty"`
	LedgerIndex *int64            `json:"ledgerIndex,omitempty"`
	Refused     *problem.Document `json:"refused,omitempty" doc:"Why; enrolling again tries again"`
}

// Participants are the newest whom the site enrolls or has enrolled, up to 1,000.
type Participants struct {
	Participants []Participant `json:"participants" nullable:"false"`
}

func (s *server) routeEnrollments() {
	tags := []string{"enrollments"}
	get(s, huma.Operation{
		OperationID: "participants", Path: enrollmentsPath, Summary: "The newest participants whom the site enrolls or has enrolled", Tags: tags,
	}, func(ctx context.Context, in *struct {
		Trial trial.ID `query:"trial" maxLength:"64" doc:"Of this trial only"`
	},
	) (*body[Participants], error) {
		list, err := s.cfg.Enrollments.Enrollments(ctx, in.Trial)
		out := Participants{Participants: make([]Participant, 0, len(list))}
		for _, p := range list {
			out.Participants = append(out.Participants, participantOf(p))
		}
		return &body[Participants]{out}, err
	})
	register(s, huma.Operation{
		OperationID: "enroll", Method: http.MethodPost, Path: enrollmentsPath, Summary: "Enroll a patient who consented to a trial", Tags: tags, DefaultStatus: http.StatusAccepted,
		Description: "It is durable when the answer comes, and done once the consent is on the ledger as it takes. One person is enrolled once in a trial, whatever the site. Sending it again is harmless.",
	}, func(ctx context.Context, in *body[NewParticipant]) (*body[Participant], error) {
		p, err := s.cfg.Enrollments.Enroll(ctx, in.Body.Trial, in.Body.Patient, in.Body.Identifier)
		return &body[Participant]{participantOf(p)}, retry(err)
	})
}

func participantOf(p enrollment.Participant) Participant {
	out := Participant{Trial: p.Trial, Participant: p.Participant, State: p.State, Asked: p.Asked, Refused: p.Refused}
	if p.State == enrollment.Enrolled {
		out.Enrolled, out.LedgerIndex = &p.Enrolled, &p.LedgerIndex
	}
	return out
}
