// Package studyrun asks the questions of a saved study, each exactly once, and
// collects the answers in a folder.
//
// A [Run] is a study in a folder. [Run.Go] signs each question and keeps the signed
// request in the folder before it is sent; the hub takes a request once, however
// often it comes. So a run that broke off anywhere goes on with the requests that are
// there and asks nothing again. One process at a time holds the folder.
//
// The folder holds study.signed, and for each question NAME.signed, the request as
// it was signed, and NAME.json, the question as the hub shows it, once it is
// answered. To ask one question again, remove its two files.
package studyrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

// Hub is what a run needs of a hub.
type Hub interface {
	// Queue submits a signed request. The same one again is harmless. A researcher who
	// has too many questions open is refused with problem.TooMany.
	Queue(ctx context.Context, e message.Envelope, deadline time.Duration, p query.Priority) (query.ID, error)

	// Question returns a question, with wait once it is answered or after limit; a
	// problem.NotFound says that it was never submitted.
	Question(ctx context.Context, id, wait string, limit time.Duration) (client.Question, error)
}

// Config configures a [Run]. Dir, Study, Hub, Key and Rand are required.
type Config struct {
	// Dir is the run's folder. It is made, or that of an earlier run of the same study.
	Dir string

	Study message.Envelope // as its author signed it
	Hub   Hub
	Key   identity.Key // of the researcher who asks
	Rand  io.Reader    // for the nonces of requests

	// Deadline is each question's, 1 s to 24 h. Defaults to 24 h.
	Deadline time.Duration

	Priority query.Priority // Defaults to query.Normal.

	// Wait has the run end when every question is answered, not when all are asked.
	Wait bool

	// Tell hears of each question when it is asked and when it is answered.
	Tell func(Status) // Defaults to nobody.

	Now func() time.Time // Defaults to time.Now.
}

// Status is where a question of a run stands.
type Status struct {
	Name  string      `json:"name"`
	ID    query.ID    `json:"id"`
	State query.State `json:"state"`
}

// requestLife is how long nodes accept a signed request: its deadline, and what a hub
// that restarts may need.
const requestLife = 24 * time.Hour

const studyFile = "study.signed"

// Run is a study in a folder.
type Run struct {
	cfg     Config
	content study.Study
	lock    *dirlock.Lock
}

// ErrOther says that the folder holds the run of another study, or of somebody else.
// Choose another folder.
var ErrOther = errors.New("the folder is of another run")

// Open checks the study and makes its folder, or opens that of an earlier run. It
// fails while another process holds the folder. Close it in the end.
func Open(ctx context.Context, cfg Config) (*Run, error) {
	content, err := message.Replay[study.Study](cfg.Study, study.KindStudy)
	if err != nil {
		return nil, err
	}
	if err := content.Validate(); err != nil {
		return nil, err
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = 24 * time.Hour
	}
	if cfg.Priority == "" {
		cfg.Priority = query.Normal
	}
	if cfg.Tell == nil {
		cfg.Tell = func(Status) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Run{cfg: cfg, content: content}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil { //nolint:gosec // questions and answers are public
		return nil, err
	}
	lock, err := dirlock.Acquire(ctx, cfg.Dir)
	if err != nil {
		return nil, err
	}
	r.lock = lock
	if err := r.keepStudy(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close gives the folder free.
func (r *Run) Close() error { return r.lock.Release() }

// keepStudy keeps the study in a new folder, or refuses a folder with another.
func (r *Run) keepStudy() error {
	kept, err := readFile[message.Envelope](r, studyFile)
	if errors.Is(err, os.ErrNotExist) {
		return r.write(studyFile, r.cfg.Study)
	}
	if err != nil {
		return err
	}
	known, err := message.Replay[study.Study](kept, study.KindStudy)
	if err != nil {
		return fmt.Errorf("%s: %w", r.path(studyFile), err)
	}
	theirs, err := known.Digest()
	if err != nil {
		return err
	}
	if ours, err := r.content.Digest(); err != nil || ours != theirs {
		return errors.Join(fmt.Errorf("%s: %w", r.cfg.Dir, ErrOther), err)
	}
	return nil
}

// Go asks what was not asked yet and collects what is answered, in the order of the
// study. Without Wait it returns when everything is asked, or the refusal when no more
// can be asked for now. What it returns with an error is how far it got.
func (r *Run) Go(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(r.content.Questions))
	for _, q := range r.content.Questions {
		s, err := r.ask(ctx, q.Name)
		for r.cfg.Wait && tooMany(err) {
			waited, waitErr := r.awaitOne(ctx, all)
			if waitErr != nil {
				return all, waitErr
			}
			if !waited {
				return all, errNoPlace
			}
			s, err = r.ask(ctx, q.Name)
		}
		if err != nil {
			return all, fmt.Errorf("question %s: %w", q.Name, err)
		}
		all = append(all, s)
	}
	for r.cfg.Wait {
		waited, err := r.awaitOne(ctx, all)
		if err != nil || !waited {
			return all, err
		}
	}
	return all, nil
}

// errNoPlace ends a run that waits for none of its own questions.
var errNoPlace = problem.New(problem.TooMany, "your other questions at the hub take all places: run again when some are answered")

func tooMany(err error) bool {
	p, is := errors.AsType[*problem.Error](err)
	return is && p.Kind == problem.TooMany
}

// ask brings one question to the hub, unless it is there.
func (r *Run) ask(ctx context.Context, name string) (Status, error) {
	if q, err := readFile[client.Question](r, name+".json"); err == nil {
		return Status{name, q.ID, q.State}, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return Status{}, err
	}
	e, err := readFile[message.Envelope](r, name+".signed")
	switch {
	case errors.Is(err, os.ErrNotExist):
		if e, err = r.sign(name); err != nil {
			return Status{}, err
		}
	case err != nil:
		return Status{}, err
	default:
		q, err := r.cfg.Hub.Question(ctx, e.Digest().String(), "", 0)
		if err == nil {
			return r.collect(name, q)
		}
		if p, is := errors.AsType[*problem.Error](err); !is || p.Kind != problem.NotFound {
			return Status{}, err
		}
		// It was signed and never came to the hub, and never will if it has expired.
		if !r.cfg.Now().Before(e.Expires) {
			if e, err = r.sign(name); err != nil {
				return Status{}, err
			}
		}
	}
	if e.Issuer != r.cfg.Key.DID() {
		return Status{}, fmt.Errorf("it was signed with another key: %w", ErrOther)
	}
	id, err := r.cfg.Hub.Queue(ctx, e, r.cfg.Deadline, r.cfg.Priority)
	if err != nil {
		return Status{}, err
	}
	s := Status{name, id, query.Open}
	r.cfg.Tell(s)
	return s, nil
}

// sign signs a question's request and keeps it.
func (r *Run) sign(name string) (message.Envelope, error) {
	request, err := r.content.Request(name)
	if err != nil {
		return message.Envelope{}, err
	}
	e, err := message.Seal(r.cfg.Key, query.KindRequest, request, r.cfg.Now(), requestLife, r.cfg.Rand)
	if err != nil {
		return message.Envelope{}, err
	}
	return e, r.write(name+".signed", e)
}

// awaitOne waits for the first open question of a run and collects its answer. It
// reports false if none is open.
func (r *Run) awaitOne(ctx context.Context, all []Status) (bool, error) {
	for i, s := range all {
		if s.State != query.Open {
			continue
		}
		for all[i].State == query.Open {
			q, err := r.cfg.Hub.Question(ctx, s.ID.String(), client.WaitResult, pollTime)
			if err != nil {
				return false, fmt.Errorf("question %s: %w", s.Name, err)
			}
			if all[i], err = r.collect(s.Name, q); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return false, nil
}

// pollTime is the longest a single request waits at the hub.
const pollTime = 30 * time.Second

// collect keeps a question that is answered.
func (r *Run) collect(name string, q client.Question) (Status, error) {
	s := Status{name, q.ID, q.State}
	if q.Result == nil {
		return s, nil
	}
	if err := r.write(name+".json", q); err != nil {
		return s, err
	}
	r.cfg.Tell(s)
	return s, nil
}

func (r *Run) path(name string) string { return filepath.Join(r.cfg.Dir, name) }
