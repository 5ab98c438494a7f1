package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// ScheduleSummary is a recurring question and how far it is.
type ScheduleSummary struct {
	Name            string             `json:"name"`
	Trial           trial.ID           `json:"trial"`
	Kind            query.AnalysisKind `json:"analysis"`
	Researcher      identity.DID       `json:"researcher"`
	Digest          message.Digest     `json:"digest" doc:"SHA-256 of the plan, which the requests of its occurrences name"`
	Cron            string             `json:"cron" doc:"When it is asked, in UTC"`
	DeadlineSeconds int                `json:"deadlineSeconds"`
	Occurrences     int                `json:"occurrences"`
	Asked           int                `json:"asked"`
	Missed          int                `json:"missed"`
	Next            *time.Time         `json:"next,omitempty" doc:"When the next occurrence is due; absent once nothing is to come"`
	Cancelled       *message.Envelope  `json:"cancelled,omitempty" doc:"The signed cancellation"`
	Registered      time.Time          `json:"registered"`
	LedgerIndex     int64              `json:"ledgerIndex"`
}

// Schedules is the answer of GET /v1/schedules.
type Schedules struct {
	Schedules []ScheduleSummary `json:"schedules" nullable:"false"`
}

// Schedule is a recurring question with all of its occurrences.
type Schedule struct {
	ScheduleSummary
	Request  query.Request    `json:"request" doc:"What is asked each time"`
	Envelope message.Envelope `json:"envelope" doc:"The schedule as its researcher signed it"`
	Times    []OccurrenceView `json:"times" nullable:"false"`
}

// OccurrenceView is one of the times at which a schedule asks its question.
type OccurrenceView struct {
	Number   int            `json:"number"`
	Due      time.Time      `json:"due"`
	State    schedule.State `json:"state" enum:"pending,asked,missed,cancelled"`
	Query    *query.ID      `json:"query,omitempty" doc:"Its question, once it was asked"`
	Question query.State    `json:"question,omitempty" doc:"Where its question stands"`
	Rule     string         `json:"rule,omitempty" doc:"By which it was refused"`
	Reason   string         `json:"reason,omitempty" doc:"Why it was missed"`
}

// routeSchedules adds registering, reading and cancelling recurring questions.
func (s *server) routeSchedules() {
	tags := []string{"schedules"}
	register(s, huma.Operation{
		OperationID: "schedules", Method: http.MethodGet, Path: "/v1/schedules", Summary: "Recurring questions, newest first", Tags: tags,
	}, s.schedules)
	register(s, huma.Operation{
		OperationID: "schedule", Method: http.MethodGet, Path: "/v1/schedules/{name}", Summary: "A recurring question with its occurrences", Tags: tags,
	}, s.schedule)
	register(s, s.only(registry.RoleResearcher, huma.Operation{
		OperationID: "registerSchedule", Method: http.MethodPost, Path: "/v1/schedules", Summary: "Register a recurring question", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: "Each occurrence is a signed request of its own, which nodes take only when it is due. Registering the same again is harmless.",
	}), s.registerSchedule)
	register(s, s.only(registry.RoleResearcher, huma.Operation{
		OperationID: "cancelSchedule", Method: http.MethodPost, Path: "/v1/schedules/{name}/cancel", Summary: "Cancel what is to come of a recurring question", Tags: tags,
		Description: "An occurrence that is open goes on. Cancelling again is harmless.",
	}, registry.RoleSponsor), s.cancelSchedule)
}

func (s *server) registerSchedule(ctx context.Context, in *struct{ Body message.Envelope }) (*body[Recorded], error) {
	if err := signedBy(ctx, in.Body); err != nil {
		return nil, err
	}
	return s.propose(ctx, registry.RegisterSchedule{Envelope: in.Body})
}

func (s *server) schedules(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20"`
},
) (*body[Schedules], error) {
	list, err := s.cfg.Registry.Schedules(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	views := make([]ScheduleSummary, 0, len(list))
	for _, known := range list {
		occurrences, err := s.cfg.Registry.Occurrences(ctx, known.Digest)
		if err != nil {
			return nil, err
		}
		views = append(views, summaryOf(known, occurrences))
	}
	return &body[Schedules]{Schedules{views}}, nil
}

func (s *server) schedule(ctx context.Context, in *struct {
	Name string `path:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
},
) (*body[Schedule], error) {
	known, err := s.cfg.Registry.Schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	occurrences, err := s.cfg.Registry.Occurrences(ctx, known.Digest)
	if err != nil {
		return nil, err
	}
	view := Schedule{
		ScheduleSummary: summaryOf(known, occurrences), Request: known.Plan.Question, Envelope: known.Envelope, Times: make([]OccurrenceView, 0, len(occurrences)),
	}
	for _, o := range occurrences {
		view.Times = append(view.Times, occurrenceOf(o))
	}
	return &body[Schedule]{view}, nil
}

// errOtherSchedule refuses a cancellation that was sent to another schedule's address.
var errOtherSchedule = problem.New(problem.Invalid, "the cancellation is of another schedule than the address")

func (s *server) cancelSchedule(ctx context.Context, in *struct {
	Name string `path:"name" pattern:"^[a-z0-9][a-z0-9-]{0,62}$"`
	Body Cancelling
},
) (*body[Recorded], error) {
	if err := signedBy(ctx, in.Body.Envelope); err != nil {
		return nil, err
	}
	known, err := s.cfg.Registry.Schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	cancellation, err := message.Open[schedule.Cancellation](in.Body.Envelope, schedule.KindCancellation, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if cancellation.Schedule != known.Digest {
		return nil, errOtherSchedule
	}
	return s.propose(ctx, registry.CancelSchedule{Envelope: in.Body.Envelope})
}

func summaryOf(known registry.Schedule, occurrences []registry.Occurrence) ScheduleSummary {
	view := ScheduleSummary{
		Name: known.Plan.Name, Trial: known.Plan.Question.Trial, Kind: known.Plan.Question.Analysis.Kind, Researcher: known.Envelope.Issuer,
		Digest: known.Digest, Cron: known.Plan.Cron, DeadlineSeconds: known.Plan.DeadlineSeconds, Occurrences: known.Plan.Occurrences,
		Cancelled: known.Cancellation, Registered: known.Registered, LedgerIndex: known.LedgerIndex,
	}
	for _, o := range occurrences {
		switch o.State {
		case schedule.Asked:
			view.Asked++
		case schedule.Missed:
			view.Missed++
		case schedule.Pending:
			if view.Next == nil {
				view.Next = &o.Due
			}
		}
	}
	return view
}

func occurrenceOf(o registry.Occurrence) OccurrenceView {
	view := OccurrenceView{Number: o.Number, Due: o.Due, State: o.State, Question: o.Question}
	if o.State == schedule.Asked {
		view.Query = &o.Query
	}
	if o.Miss != nil {
		view.Rule, view.Reason = o.Miss.Rule, o.Miss.Reason
	}
	return view
}
