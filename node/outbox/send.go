package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Send takes the resources of a document of FHIR R4 JSON for an endpoint: a resource, lines of
// them, or a Bundle of type collection. All are durable when it returns, or none is kept. A
// resource that was sent before is the message it was; one of these that failed or was
// cancelled is sent again. Refusals are of type problem.Error.
func (o *Outbox) Send(ctx context.Context, endpoint string, r io.Reader) ([]Message, error) {
	e, err := o.endpoint(endpoint)
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", endpoint, err)
	}
	list, err := read(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", endpoint, err)
	}
	var sent []Message
	err = o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		sent = sent[:0]
		for _, one := range list {
			m, err := o.add(ctx, tx, e, one)
			if err != nil {
				return err
			}
			sent = append(sent, m)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", endpoint, err)
	}
	return sent, nil
}

// endpoint returns the endpoint called name.
func (o *Outbox) endpoint(name string) (Endpoint, error) {
	e, err := Read(o.cfg.Dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrName):
		return e, errNoEndpoint
	case err != nil:
		return e, problem.New(problem.Invalid, "the settings of the endpoint: "+err.Error())
	}
	return e, nil
}

// add keeps a resource for an endpoint, with the job that sends it.
func (o *Outbox) add(ctx context.Context, tx *sqldb.Tx, e Endpoint, r resource) (Message, error) {
	if !slices.Contains(e.Types, r.kind) {
		return Message{}, problem.New(problem.Forbidden, "the endpoint is not registered for "+r.kind+": add it to types of its settings")
	}
	if r.patient != "" {
		known, err := o.cfg.Known(ctx, tx, r.patient)
		if err != nil {
			return Message{}, err
		}
		if !known {
			return Message{}, errNoPatient
		}
	}
	text, err := r.text()
	if err != nil {
		return Message{}, err
	}
	m := Message{Endpoint: e.Name, Type: r.kind, Identifier: o.seal.identifier(e.Name, r.kind, text), Asked: o.cfg.Now().UTC()}
	if err := tx.Lock(ctx, "outbox/"+m.Endpoint); err != nil {
		return Message{}, err
	}
	r.identify(o.cfg.System, m.Identifier)
	if text, err = r.text(); err != nil {
		return Message{}, err
	}
	sealed := o.seal.close(m.Identifier, text)
	old, err := one(ctx, tx, `endpoint = ? AND identifier = ?`, m.Endpoint, m.Identifier)
	switch {
	case errors.Is(err, errNoMessage):
		return o.insert(ctx, tx, m, sealed)
	case err != nil, old.State == Waiting, old.State == Delivered:
		return old, err
	}
	if _, err := tx.Exec(ctx, `UPDATE outbox_message SET content = ? WHERE message_id = ?`, sealed, int64(old.ID)); err != nil {
		return Message{}, err
	}
	return o.revive(ctx, tx, old)
}

// Retry has a message that failed sent again, or one that waits sent now.
func (o *Outbox) Retry(ctx context.Context, id ID) (Message, error) {
	var m Message
	waited := false
	err := o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) (err error) {
		if m, err = one(ctx, tx, `message_id = ?`, int64(id)); err != nil {
			return err
		}
		switch waited = m.State == Waiting; m.State {
		case Failed:
			m, err = o.revive(ctx, tx, m)
		case Waiting:
		default:
			err = errOver
		}
		return err
	})
	if err == nil {
		o.rests.over(m.Endpoint)
		if waited {
			err = o.hurry(ctx, m)
		}
	}
	if err != nil {
		return Message{}, fmt.Errorf("retry message %d: %w", id, err)
	}
	return m, nil
}

// hurry has the job of a message that waits begin now. One that is under way may just have
// come to nothing, and would not be begun sooner by this.
func (o *Outbox) hurry(ctx context.Context, m Message) error {
	err := o.cfg.Jobs.Retry(ctx, m.job)
	if errors.Is(err, jobs.ErrUnderWay) {
		err = errUnderWay
	}
	return err
}

// Cancel ends a message that waits. If it is just being sent it may arrive all the same, and
// is then delivered.
func (o *Outbox) Cancel(ctx context.Context, id ID) (Message, error) {
	var m Message
	err := o.cfg.DB.Write(ctx, func(tx *sqldb.Tx) (err error) {
		if m, err = one(ctx, tx, `message_id = ?`, int64(id)); err != nil {
			return err
		}
		if m.State != Waiting && m.State != Failed {
			return errEnded
		}
		m.State, m.Ended = Cancelled, o.cfg.Now().UTC()
		_, err = tx.Exec(ctx, `UPDATE outbox_message SET state = ?, ended_at = ?, next_at = NULL, content = NULL WHERE message_id = ?`, string(Cancelled), m.Ended, int64(id))
		return err
	})
	if err != nil {
		return Message{}, fmt.Errorf("cancel message %d: %w", id, err)
	}
	return m, nil
}
