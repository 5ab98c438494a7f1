package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Bounds of a long poll.
const (
	// maxWait leaves time for the answer before clients and proxies give up.
	maxWait = 100 * time.Second

	// lookAgain is how often a waiting request looks even though no change was
	// announced: another replica's proposals are not, nor what answers several who ask
	// the same.
	lookAgain = time.Second
)

// waitProofs has a long poll wait for [Question.ProofsDone], not for the result.
const waitProofs = "proofs"

// routeQuestions adds asking, listing and waiting.
func (s *server) routeQuestions() {
	tags := []string{"questions"}
	register(s, huma.Operation{
		OperationID: "questions", Method: http.MethodGet, Path: "/v1/queries", Summary: "Questions, newest first", Tags: tags,
	}, s.questions)
	register(s, huma.Operation{
		OperationID: "question", Method: http.MethodGet, Path: "/v1/queries/{id}", Summary: "A question with its result and proofs", Tags: tags,
		Description: "The id may be cut to 8 digits or more as long as no two questions share them. With wait the answer comes when the result, or all proofs, are there, or when the time is over, 100 s at most.",
	}, s.question)
	register(s, s.only(registry.RoleResearcher, huma.Operation{
		OperationID: "ask", Method: http.MethodPost, Path: "/v1/queries", Summary: "Ask a question", Tags: tags, DefaultStatus: http.StatusAccepted,
		Description: "Asking the same envelope again is harmless. Researchers take turns; status 429 says that as much is open as may be.",
	}), s.ask)
	register(s, s.only(registry.RoleResearcher, huma.Operation{
		OperationID: "cancel", Method: http.MethodPost, Path: "/v1/queries/{id}/cancel", Summary: "Cancel an open question", Tags: tags,
		Description: "The answer and the cancellation exclude each other: whichever is recorded first stands. Cancelling again is harmless.",
	}, registry.RoleSponsor), s.cancel)
}

func (s *server) questions(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20"`
},
) (*body[Questions], error) {
	views, err := s.questionViews(ctx, in.Limit)
	return &body[Questions]{Questions{views}}, err
}

// questionViews returns the newest questions.
func (s *server) questionViews(ctx context.Context, limit int) ([]Question, error) {
	list, err := s.cfg.Registry.Questions(ctx, limit)
	if err != nil {
		return nil, err
	}
	views := make([]Question, 0, len(list))
	for _, q := range list {
		view, err := s.questionOf(ctx, q)
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, nil
}

type questionInput struct {
	ID      string `path:"id" maxLength:"64" doc:"The first 8 or more of the 64 hex digits of the question's digest"`
	Wait    string `query:"wait" enum:"result,proofs" doc:"What to wait for"`
	Seconds int    `query:"seconds" minimum:"0" maximum:"86400" default:"30" doc:"How long to wait"`
}

func (s *server) question(ctx context.Context, in *questionInput) (*body[Question], error) {
	id, err := s.cfg.Registry.FindQuestion(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Wait == "" {
		view, err := s.view(ctx, id)
		return &body[Question]{view}, err
	}
	view, err := s.await(ctx, id, in.Wait, min(time.Duration(in.Seconds)*time.Second, maxWait))
	return &body[Question]{view}, err
}

// await returns the question once there is what is waited for, or as it is
// when the time is over.
func (s *server) await(ctx context.Context, id query.ID, wait string, limit time.Duration) (Question, error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		view, done, err := s.awaitChange(ctx, id, wait, over.C, again.C)
		if err != nil || done {
			return view, err
		}
	}
}

// awaitChange looks once, and unless that is what was waited for, waits until it is worth
// looking again. Of a question that is open, which many changes are about, it reads no more
// than that.
func (s *server) awaitChange(ctx context.Context, id query.ID, wait string, over, again <-chan time.Time) (view Question, done bool, err error) {
	changed, release := s.cfg.Network.ChangedOf(id) // before reading, or a change in between is missed
	defer release()
	answered, err := s.cfg.Registry.Answered(ctx, id)
	if err != nil {
		return view, true, err
	}
	if answered {
		if view, err = s.view(ctx, id); err != nil || view.has(wait) {
			return view, true, err
		}
	}
	select {
	case <-changed:
		return view, false, nil
	case <-again:
		return view, false, nil
	case <-over:
	case <-ctx.Done():
	}
	view, err = s.view(context.WithoutCancel(ctx), id)
	return view, true, err
}

func (s *server) view(ctx context.Context, id query.ID) (Question, error) {
	q, err := s.cfg.Registry.Question(ctx, id)
	if err != nil {
		return Question{}, err
	}
	view, err := s.questionOf(ctx, q)
	if err != nil {
		return Question{}, err
	}
	view.Rounds, err = s.cfg.Registry.Rounds(ctx, id)
	return view, err
}

// questionOf adds what the registry holds of a question beside it.
func (s *server) questionOf(ctx context.Context, q registry.Question) (Question, error) {
	waiting, err := s.cfg.Registry.Waiting(ctx, q.ID)
	if err != nil {
		return Question{}, err
	}
	accesses, err := s.cfg.Registry.Accesses(ctx, q.ID)
	if err != nil {
		return Question{}, err
	}
	view := questionOf(q, waiting, accesses)
	if view.Result != nil {
		venue, err := s.cfg.Registry.Venue(ctx)
		if err != nil {
			return Question{}, err
		}
		view.ProofsDone = proofsDone(q.Result, accesses, venue != query.NoChain)
	}
	return view, nil
}

// errLasts refuses a question that nodes would refuse before its time is over.
var errLasts = problem.New(problem.Invalid, "deadlineSeconds: the signature of the question ends before: sign it for longer, or ask for less time")

type askOutput struct {
	Location string `header:"Location"`
	Body     Accepted
}

func (s *server) ask(ctx context.Context, in *struct{ Body Submission }) (*askOutput, error) {
	if err := signedBy(ctx, in.Body.Envelope); err != nil {
		return nil, err
	}
	now := s.cfg.Now().Truncate(time.Second) // as the command's own time, or 14 days would be too long
	deadline := now.Add(time.Duration(in.Body.DeadlineSeconds) * time.Second)
	if last := in.Body.Envelope.Expires.Add(message.Skew); deadline.After(last) && !now.After(last) { // one that has expired says so below
		if err := in.Body.Envelope.Check(query.KindRequest); err != nil {
			return nil, err
		}
		return nil, errLasts
	}
	out, err := s.cfg.Log.Propose(ctx, registry.QueueQuestion{
		Envelope: in.Body.Envelope, Deadline: deadline, Priority: in.Body.Priority, Limits: s.cfg.Queue,
	})
	if err != nil {
		return nil, err
	}
	id := in.Body.Envelope.Digest()
	return &askOutput{Location: "/v1/queries/" + id.String(), Body: Accepted{ID: id, LedgerIndex: out.LedgerIndex, Existed: out.Existed}}, nil
}

// errOther refuses a cancellation that was sent to another question's address.
var errOther = problem.New(problem.Invalid, "the cancellation is of another question than the address")

func (s *server) cancel(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"64" doc:"The first 8 or more of the 64 hex digits of the question's digest"`
	Body Cancelling
},
) (*body[Recorded], error) {
	if err := signedBy(ctx, in.Body.Envelope); err != nil {
		return nil, err
	}
	id, err := s.cfg.Registry.FindQuestion(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	cancellation, err := message.Open[query.Cancellation](in.Body.Envelope, query.KindCancellation, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if cancellation.Query != id {
		return nil, errOther
	}
	return s.propose(ctx, registry.CancelQuestion{Envelope: in.Body.Envelope})
}
