package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// delivery is the job that sends a message.
type delivery struct {
	Message int64 `json:"message"`
}

// Kind implements jobs.Args.
func (delivery) Kind() string { return "outbox-delivery" }

// Workers implements jobs.Apart: an EHR that does not answer keeps no load waiting.
func (delivery) Workers() int { return 2 }

// heldPause is how often a node that is held looks whether it still is.
const heldPause = time.Minute

// deliver makes one attempt at a message.
func (o *Outbox) deliver(ctx context.Context, j *jobs.Job[delivery]) error {
	if o.cfg.Held {
		return jobs.Later(heldPause)
	}
	m, content, err := o.waiting(ctx, j)
	switch {
	case errors.Is(err, errSeal):
		return o.end(ctx, j, m, Failed, "", err.Error())
	case err != nil, m.ID == 0:
		return err
	}
	e, err := Read(o.cfg.Dir, m.Endpoint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("the endpoint has no settings any more")
	case err == nil && !slices.Contains(e.Types, m.Type):
		err = fmt.Errorf("the endpoint is not registered for %s any more", m.Type)
	}
	if err != nil {
		return o.wait(ctx, m, fmt.Errorf("settings: %w", err), o.cfg.Pause(m.Attempts+1))
	}
	if rest := o.rests.begin(m.Endpoint, o.cfg.Now()); rest > 0 {
		return jobs.Later(rest)
	}
	repeat := m.Attempts > 0
	if m, err = o.begin(ctx, m); err != nil || m.ID == 0 {
		o.rests.over(m.Endpoint)
		return err
	}
	created, err := o.create(ctx, e, m, content, repeat)
	return o.settle(ctx, j, e, m, created, err)
}

// waiting returns the message of a job with its content. The message is zero if there is
// nothing to do for this job.
func (o *Outbox) waiting(ctx context.Context, j *jobs.Job[delivery]) (Message, []byte, error) {
	var m Message
	var sealed []byte
	err := o.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if m, err = one(ctx, tx, `message_id = ? AND state = ? AND job_id = ?`, j.Args.Message, string(Waiting), j.ID); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT content FROM outbox_message WHERE message_id = ?`, j.Args.Message).Scan(&sealed)
	})
	if errors.Is(err, errNoMessage) {
		return Message{}, nil, nil
	}
	if err != nil {
		return Message{}, nil, err
	}
	content, err := o.seal.open(m.Identifier, sealed)
	return m, content, err
}

// begin writes that a message is about to be sent, so that whoever comes next knows that the
// server may have it. The message is zero if it was cancelled meanwhile.
func (o *Outbox) begin(ctx context.Context, m Message) (Message, error) {
	m.Tried, m.Attempts = o.cfg.Now().UTC(), m.Attempts+1
	err := o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE outbox_message SET attempts = ?, tried_at = ?, next_at = NULL WHERE message_id = ? AND state = ? AND job_id = ?`,
			m.Attempts, m.Tried, int64(m.ID), string(Waiting), m.job)
		if err == nil && n == 0 {
			m.ID = 0
		}
		return err
	})
	return m, err
}

// create sends a message.
func (o *Outbox) create(ctx context.Context, e Endpoint, m Message, content []byte, repeat bool) (fhirserver.Created, error) {
	client, err := o.client(e)
	if err != nil {
		return fhirserver.Created{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Limit)
	defer cancel()
	return client.Create(ctx, m.Type, fhirserver.Identifier{System: o.cfg.System, Value: m.Identifier}, content, repeat)
}

// settle writes what became of an attempt.
func (o *Outbox) settle(ctx context.Context, j *jobs.Job[delivery], e Endpoint, m Message, created fhirserver.Created, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the node stops: the next one goes on
	}
	switch {
	case err == nil:
		o.rests.over(m.Endpoint)
		return o.end(ctx, j, m, Delivered, created.Reference, "")
	case fhirserver.Refused(err):
		o.rests.over(m.Endpoint)
		return o.end(ctx, j, m, Failed, "", err.Error())
	}
	o.forget(e.Name)
	rest, asked := o.cfg.Pause(m.Attempts), time.Duration(0)
	if status, is := errors.AsType[*fhirserver.StatusError](err); is {
		asked = status.Wait
	}
	if fhirserver.Stumbled(err) {
		o.rests.over(m.Endpoint)
	} else {
		rest = max(rest, o.rests.trouble(m.Endpoint, o.cfg.Now(), asked, o.cfg.Pause))
	}
	return o.wait(ctx, m, err, max(rest, asked))
}

// wait writes why a message waits, or that it did for too long.
func (o *Outbox) wait(ctx context.Context, m Message, why error, pause time.Duration) error {
	now := o.cfg.Now().UTC()
	state := Waiting
	err := o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var until time.Time
		if err := tx.QueryRow(ctx, `SELECT until FROM outbox_message WHERE message_id = ?`, int64(m.ID)).Scan(&until); err != nil {
			return err
		}
		var next, ended *time.Time
		if state = Waiting; now.Before(until) {
			due := now.Add(pause)
			next = &due
		} else {
			state, ended = Failed, &now
		}
		_, err := tx.Exec(ctx, `UPDATE outbox_message SET state = ?, error = ?, next_at = ?, ended_at = ? WHERE message_id = ? AND state = ? AND job_id = ?`,
			string(state), why.Error(), next, ended, int64(m.ID), string(Waiting), m.job)
		return err
	})
	if err != nil {
		return err
	}
	o.tried.WithLabelValues(string(state)).Inc()
	o.cfg.Log.WarnContext(ctx, "message was not sent", "message", int64(m.ID), "endpoint", m.Endpoint, "state", string(state), "err", why)
	if state == Failed {
		return nil
	}
	return jobs.Later(pause)
}

// end writes how a message ended. One that was cancelled while it was sent is delivered all
// the same.
func (o *Outbox) end(ctx context.Context, j *jobs.Job[delivery], m Message, state State, reference, why string) error {
	err := o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		set, from := `state = ?, ended_at = ?, reference = ?, error = ?, next_at = NULL`, string(Waiting)
		if state == Delivered {
			set, from = set+`, content = NULL`, string(Cancelled)
		}
		if _, err := tx.Exec(ctx, `UPDATE outbox_message SET `+set+` WHERE message_id = ? AND state IN (?, ?) AND job_id = ?`,
			string(state), o.cfg.Now().UTC(), reference, why, int64(m.ID), string(Waiting), from, m.job); err != nil {
			return err
		}
		return j.Complete(ctx, tx)
	})
	if err != nil {
		return err
	}
	o.tried.WithLabelValues(string(state)).Inc()
	if state == Failed {
		o.cfg.Log.ErrorContext(ctx, "message was refused", "message", int64(m.ID), "endpoint", m.Endpoint, "err", why)
	}
	return nil
}
