package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// What is wrong with a document or with what an entry says about it.
var (
	errNotHub  = errors.New("the entry names another actor than the trusted hub")
	errActor   = errors.New("the entry names another actor than the document's signer")
	errSubject = errors.New("the entry is about something else than its document")
)

// document returns the document that a leaf names, after comparing digests.
func (v *verification) document(ctx context.Context, l leaf) ([]byte, error) {
	if raw, known := v.read[l.Digest]; known {
		return raw, nil
	}
	raw, err := v.src.Document(ctx, l.Digest)
	if err != nil {
		if !errors.Is(err, ErrNoDocument) && v.broken == nil {
			v.broken = err
		}
		return nil, err
	}
	if got := message.Sum(raw); got != l.Digest {
		return nil, fmt.Errorf("the document was altered: its digest is %s, the log says %s", got, l.Digest)
	}
	// Readers could disagree on a document that says something twice.
	clean, err := canonical.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("the document is malformed: %w", err)
	}
	if !bytes.Equal(clean, raw) {
		return nil, errors.New("the document is not in canonical form")
	}
	v.remember(l.Digest, raw)
	return raw, nil
}

// maxRead bounds the documents that are kept for a second reading, in bytes together.
const maxRead = 64 << 20

// remember keeps a document, if there is room: many answers rest on one trial and one epoch.
func (v *verification) remember(digest message.Digest, raw []byte) {
	if v.readSize+len(raw) > maxRead {
		return
	}
	if v.read == nil {
		v.read = make(map[message.Digest][]byte)
	}
	v.read[digest], v.readSize = raw, v.readSize+len(raw)
}

// read returns a leaf's document, which nobody but the hub vouches for.
func read[T any](ctx context.Context, v *verification, l leaf) (T, error) {
	var document T
	raw, err := v.document(ctx, l)
	if err != nil {
		return document, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&document); err != nil {
		return document, fmt.Errorf("the document is not what a %q entry names", l.Kind)
	}
	return document, nil
}

// signed is a body with the envelope it came in.
type signed[T any] struct {
	leaf
	envelope message.Envelope
	body     T
}

// open returns a leaf's signed document. The signer is the entry's actor, and
// the entry was made while the signature held.
func open[T any](ctx context.Context, v *verification, l leaf, kind message.Kind) (signed[T], error) {
	s := signed[T]{leaf: l}
	raw, err := v.document(ctx, l)
	if err != nil {
		return s, err
	}
	if s.envelope, err = message.Parse(raw); err != nil {
		return s, err
	}
	if s.body, err = message.Open[T](s.envelope, kind, l.At); err != nil {
		return s, err
	}
	if s.envelope.Issuer != l.Actor {
		return s, errActor
	}
	return s, nil
}

// consistent checks that a leaf says of its document what the document itself
// says, and that whoever had to sign it did.
func (v *verification) consistent(ctx context.Context, l leaf) error {
	byHub := func(subject string, err error) error {
		if err == nil && l.Actor != v.trust.Hub {
			err = errNotHub
		}
		return about(l, subject, err)
	}
	switch l.Kind {
	case entry.NodeEnrolled:
		d, err := read[entry.Enrollment](ctx, v, l)
		return byHub(string(d.Node), err)
	case entry.NodeRevoked:
		d, err := read[entry.Revocation](ctx, v, l)
		return byHub(string(d.Node), err)
	case entry.CircuitRegistered:
		d, err := read[entry.Circuit](ctx, v, l)
		return byHub(d.Shape, err)
	case entry.TrialRegistered:
		_, _, err := v.registration(ctx, l)
		return err
	case entry.ConsentEpoch:
		d, err := open[consent.Epoch](ctx, v, l, consent.KindEpoch)
		return about(l, string(d.body.Trial), own(err, l.Actor, d.body.Node))
	case entry.ConsentChanged:
		_, err := v.changes(ctx, l)
		return err
	case entry.QuestionAsked:
		d, err := open[query.Request](ctx, v, l, query.KindRequest)
		return about(l, d.envelope.Digest().String(), err)
	case entry.QuestionAnswered:
		d, err := read[query.Result](ctx, v, l)
		return byHub(d.Query.String(), err)
	case entry.AccessProved:
		d, err := open[query.Access](ctx, v, l, query.KindAccess)
		return about(l, d.body.Query.String(), own(err, l.Actor, d.body.Node))
	case entry.ColumnsCommitted:
		d, err := open[columns.Commitment](ctx, v, l, columns.Kind)
		return about(l, columns.Subject(d.body.Trial, d.body.Dataset), own(err, l.Actor, d.body.Node))
	case entry.ResultProved:
		d, err := open[query.Proved](ctx, v, l, query.KindProved)
		return about(l, d.body.Query.String(), own(err, l.Actor, d.body.Node))
	case entry.StudyRegistered:
		d, err := open[study.Study](ctx, v, l, study.KindStudy)
		return about(l, d.body.String(), err)
	case entry.ScheduleRegistered:
		d, err := open[schedule.Schedule](ctx, v, l, schedule.KindSchedule)
		if err == nil {
			_, err = d.body.Envelopes(l.Actor)
		}
		return about(l, d.body.Plan.Name, err)
	case entry.ScheduleCancelled:
		_, err := open[schedule.Cancellation](ctx, v, l, schedule.KindCancellation)
		return err
	case entry.OccurrenceMissed:
		d, err := read[schedule.Miss](ctx, v, l)
		return byHub(d.Occurrence().String(), err)
	case entry.PersonKeyFixed:
		d, err := read[enrollment.PersonKey](ctx, v, l)
		digest, failed := d.Digest()
		return byHub(digest.String(), errors.Join(err, failed))
	case entry.PersonEnrolled:
		d, err := read[enrollment.Enrollment](ctx, v, l)
		return byHub(string(d.Trial), err)
	case entry.ChainAnchored:
		d, err := read[entry.Anchor](ctx, v, l)
		return byHub(d.Tx, err)
	}
	_, err := v.document(ctx, l) // of a later version: no more is known
	return err
}

// registration returns what a leaf registers of a trial.
func (v *verification) registration(ctx context.Context, l leaf) (trial.Registration, trial.Design, error) {
	r, err := read[trial.Registration](ctx, v, l)
	if err != nil {
		return r, trial.Design{}, err
	}
	design, err := r.Open()
	if err == nil && r.Design.Issuer != l.Actor {
		err = errActor
	}
	return r, design, about(l, string(design.ID), err)
}

// about adds the check that a leaf's subject is its document's.
func about(l leaf, subject string, err error) error {
	if err == nil && l.Subject != subject {
		return errSubject
	}
	return err
}

// own adds the check that a node speaks for itself.
func own(err error, signer, node identity.DID) error {
	if err == nil && signer != node {
		return errors.New("the document speaks for another node than the one that signed it")
	}
	return err
}
