package enrollment

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// idlePause is how long the desk rests when nobody waits.
const idlePause = time.Minute

// Wake tells that consents were published. It never blocks.
func (d *Desk) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run enrolls who waits until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	for {
		pause := idlePause
		left, err := d.work(ctx)
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.WarnContext(ctx, "enrollments are held up and will be tried again", "err", err)
		}
		if err != nil || left > 0 {
			pause = d.cfg.Pause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-d.wake:
			timer.Stop()
		}
	}
}

// waiting is somebody who waits to be enrolled.
type waiting struct {
	trial       trial.ID
	participant identity.DID
	salt        string
}

// work enrolls whoever can be now, and returns how many still wait. What holds up one of them
// holds up nobody else, unless the hub is out of reach.
func (d *Desk) work(ctx context.Context) (left int, err error) {
	var list []waiting
	if err := d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT trial, participant, salt FROM enrollment WHERE ledger_index IS NULL AND refused = '' ORDER BY trial, asked_at, participant`, nil, func(rows *sqldb.Rows) error {
			var w waiting
			err := rows.Scan(&w.trial, &w.participant, &w.salt)
			list = append(list, w)
			return err
		})
	}); err != nil {
		return 0, err
	}
	places := make(map[trial.ID]placesOf)
	var failed []error
	for _, w := range list {
		in, known := places[w.trial]
		if !known {
			in.Places, in.err = d.places(ctx, w.trial)
			places[w.trial] = in
		}
		waits, err := d.enroll(ctx, w, in)
		if said, is := errors.AsType[*problem.Error](err); ctx.Err() != nil || is && said.Kind == problem.Unavailable {
			return len(list), errors.Join(append(failed, err)...)
		}
		if err != nil {
			failed = append(failed, err)
		}
		if waits {
			left++
		}
	}
	return left, errors.Join(failed...)
}

// placesOf is what the hub said when it was asked for the places of a trial.
type placesOf struct {
	enrollment.Places
	err error
}

// enroll proves one enrollment and brings it to the hub. It reports whether they have to wait.
func (d *Desk) enroll(ctx context.Context, w waiting, places placesOf) (waits bool, err error) {
	var e enrollment.Enrollment
	var recorded agreed.Recorded
	if err = places.err; err == nil {
		e, err = d.prove(ctx, w, places.Places)
	}
	if err == nil {
		err = d.call(ctx, d.cfg.Network.Hub(), enrollment.EnrollProtocol, e, &recorded)
	}
	said, is := errors.AsType[*problem.Error](err)
	switch {
	case err == nil:
		return false, d.end(ctx, w, audit.ParticipantEnrolled, `ledger_index = ?, enrolled_at = ?`, recorded.LedgerIndex, d.cfg.Now().Unix())
	case errors.Is(err, consent.ErrUnpublished), errors.Is(err, enrollment.ErrRoot), errors.Is(err, enrollment.ErrTime):
		return true, nil // others published since, or this site will
	case is && said.Kind != problem.Unavailable && said.Kind != problem.Internal:
		document, err := json.Marshal(problem.From(said))
		if err != nil {
			return true, err
		}
		return false, d.end(ctx, w, audit.EnrollmentRefused, `refused = ?`, string(document))
	}
	return true, err
}

// end notes how an enrollment ended.
func (d *Desk) end(ctx context.Context, w waiting, event audit.Event, set string, args ...any) error {
	return d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE enrollment SET `+set+` WHERE trial = ? AND participant = ? AND ledger_index IS NULL`, append(args, w.trial, w.participant)...)
		if err != nil || n == 0 {
			return err
		}
		return d.cfg.Trail.Add(ctx, tx, audit.Record{At: d.cfg.Now(), Event: event, Subject: string(w.trial)})
	})
}

// prove makes an enrollment under the consents as they stand.
func (d *Desk) prove(ctx context.Context, w waiting, places enrollment.Places) (e enrollment.Enrollment, err error) {
	if _, err := places.Registration.Enrolls(d.cfg.Network.DID(), d.cfg.Now(), d.cfg.Boards); err != nil {
		return e, err
	}
	witness, err := d.cfg.Consents.Enrolling(ctx, w.trial, w.participant, places)
	if err != nil {
		return e, err
	}
	prover, circuit, err := d.cfg.Proving(ctx)
	if err != nil {
		return e, err
	}
	key, err := d.cfg.PersonKey()
	if err != nil {
		return e, err
	}
	var salt [32]byte
	if _, err := hex.Decode(salt[:], []byte(w.salt)); err != nil {
		return e, err
	}
	e = enrollment.Enrollment{
		Trial: w.trial, Site: enrollment.SiteOf(d.cfg.Network.DID(), w.participant, salt),
		Time: d.cfg.Now().UTC().Truncate(time.Second), Circuit: circuit,
	}
	if e.Key, err = key.Digest(); err != nil {
		return e, err
	}
	if witness.Attributes.From > uint32(e.Time.Unix()) || witness.Attributes.To <= uint32(e.Time.Unix()) {
		return e, consent.ErrUnconsented
	}
	witness.Trial, witness.Time = enrollment.TrialElement(d.cfg.Network.Hub(), w.trial), uint32(e.Time.Unix())
	if witness.Signal, err = e.Signal(); err != nil {
		return e, err
	}
	proof, err := prover.Enrollment(ctx, witness)
	if err != nil {
		return e, err
	}
	e.Root, e.Nullifier, e.Proof = proof.Public.Root, proof.Public.Nullifier, proof.Proof[:]
	return e, nil
}
