// Package enrollment enrolls participants of this site in trials, each person once in a trial
// wherever they come.
//
// [Desk.Enroll] takes a patient and their identifier, has the person's secret computed
// without showing the identifier to anybody, and makes the consent leaf name them by it.
// Once that leaf is on the ledger, [Desk.Run] proves that somebody with such a leaf enrolls
// and brings the proof to the hub, which knows by its nullifier whether the same person
// enrolled before. The identifier is never stored.
package enrollment

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

//go:embed migrations
var migrations embed.FS

// Network is what the desk needs of the network.
type Network interface {
	// DID and Hub are the node's name and the hub's, which is the network's.
	DID() identity.DID
	Hub() identity.DID

	// Call asks a member and returns its answer. Its refusals are of package problem.
	Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error)
}

// Prover proves enrollments.
type Prover interface {
	// Enrollment proves that somebody with a consent enrolls.
	Enrollment(ctx context.Context, w circuits.EnrollmentWitness) (circuits.EnrollmentProof, error)
}

// Config configures a [Desk]. All but Pause, Log and Now are required.
type Config struct {
	DB       *sqldb.DB
	Consents *consent.Book
	Trail    *audit.Trail
	Network  Network
	Boards   []identity.DID // whose approvals of trials count

	// Patient returns the person of a FHIR id, or a refusal.
	Patient func(ctx context.Context, tx *sqldb.Tx, patient string) (omop.PersonID, error)

	// PersonKey returns who shares the key by which people are told apart, as it was first
	// told, or an error of kind unavailable.
	PersonKey func() (enrollment.PersonKey, error)

	// Proving returns the prover and the digest of its verifying key, or an error of kind
	// unavailable.
	Proving func(ctx context.Context) (Prover, message.Digest, error)

	// Publish tells that a consent leaf has to be published. It must not block.
	Publish func()

	Pause time.Duration    // between attempts while somebody waits; defaults to 2 s
	Log   *slog.Logger     // Defaults to discarding.
	Now   func() time.Time // Defaults to time.Now.
}

// Desk enrolls the site's participants. It is safe for concurrent use.
type Desk struct {
	cfg  Config
	wake chan struct{}
}

// Open brings the desk's table up to date and returns the desk; it starts nothing.
func Open(ctx context.Context, cfg Config) (*Desk, error) {
	if cfg.Pause <= 0 {
		cfg.Pause = 2 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "enrollment", own); err != nil {
		return nil, fmt.Errorf("enrollment: %w", err)
	}
	return &Desk{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// State is how far an enrollment is.
type State string

// The states.
const (
	Waiting  State = "waiting"  // for the consent leaf, the hub or the prover
	Enrolled State = "enrolled" // on the ledger
	Refused  State = "refused"  // for the reason given; enrolling again tries again
)

// Participant is somebody whom the site enrolls.
type Participant struct {
	Trial       trial.ID
	Participant identity.DID
	State       State
	Asked       time.Time
	Enrolled    time.Time // zero until then
	LedgerIndex int64     // -1 until then
	Refused     *problem.Document
}

// Enroll has a patient who agreed to a trial enrolled in it, under their identifier in the
// system that the trial's design names. It is durable when Enroll returns; whether the person
// is enrolled shows later. Enrolling again is harmless.
func (d *Desk) Enroll(ctx context.Context, id trial.ID, patient, identifier string) (p Participant, err error) {
	places, err := d.places(ctx, id)
	if err != nil {
		return p, err
	}
	terms, err := places.Registration.Enrolls(d.cfg.Network.DID(), d.cfg.Now(), d.cfg.Boards)
	if err != nil {
		return p, err
	}
	secret, err := d.secret(ctx, terms.Identifier, identifier)
	if err != nil {
		return p, err
	}
	now := d.cfg.Now()
	err = d.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		find := func(ctx context.Context, tx *sqldb.Tx) (omop.PersonID, error) { return d.cfg.Patient(ctx, tx, patient) }
		participant, before, err := d.cfg.Consents.Identify(ctx, tx, id, find, secret)
		if err != nil {
			return err
		}
		if p, err = d.keep(ctx, tx, id, participant, now); err == nil && p.State == Enrolled && !before {
			err = errOther
		}
		return err
	})
	if err != nil {
		return p, err
	}
	d.cfg.Publish()
	d.Wake()
	return p, nil
}

// keep notes that a participant is to be enrolled, unless they are.
func (d *Desk) keep(ctx context.Context, tx *sqldb.Tx, id trial.ID, participant identity.DID, now time.Time) (Participant, error) {
	var salt [32]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return Participant{}, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO enrollment (trial, participant, salt, asked_at, refused) VALUES (?, ?, ?, ?, '')
		ON CONFLICT (trial, participant) DO UPDATE SET refused = '' WHERE enrollment.ledger_index IS NULL`, id, participant, hex.EncodeToString(salt[:]), now.Unix())
	if err != nil {
		return Participant{}, err
	}
	if n > 0 {
		if err := d.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.EnrollmentAsked, Subject: string(id)}); err != nil {
			return Participant{}, err
		}
	}
	return read(tx.QueryRow(ctx, `SELECT `+columns+` FROM enrollment WHERE trial = ? AND participant = ?`, id, participant))
}

// MaxListed is how many participants [Desk.List] returns at most.
const MaxListed = 1000

// List returns the newest participants whom the site enrolls or has enrolled, in a trial or, of
// "", in all.
func (d *Desk) List(ctx context.Context, id trial.ID) (list []Participant, err error) {
	err = d.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT `+columns+` FROM enrollment WHERE trial = ? OR ? = '' ORDER BY asked_at DESC, trial, participant LIMIT ?`,
			[]any{id, id, MaxListed}, func(rows *sqldb.Rows) error {
				p, err := read(rows)
				list = append(list, p)
				return err
			})
	})
	return list, err
}

const columns = `trial, participant, asked_at, enrolled_at, ledger_index, refused`

// read reads the columns.
func read(row interface{ Scan(to ...any) error }) (p Participant, err error) {
	var asked int64
	var enrolled, index *int64
	var refused string
	if err := row.Scan(&p.Trial, &p.Participant, &asked, &enrolled, &index, &refused); err != nil {
		return p, err
	}
	p.Asked, p.State, p.LedgerIndex = time.Unix(asked, 0).UTC(), Waiting, -1
	switch {
	case index != nil:
		p.State, p.LedgerIndex, p.Enrolled = Enrolled, *index, time.Unix(*enrolled, 0).UTC()
	case refused != "":
		p.State, p.Refused = Refused, new(problem.Document)
		err = json.Unmarshal([]byte(refused), p.Refused)
	}
	return p, err
}

// places asks the hub about a trial and the consents of its sites.
func (d *Desk) places(ctx context.Context, id trial.ID) (p enrollment.Places, err error) {
	err = d.call(ctx, d.cfg.Network.Hub(), enrollment.PlacesProtocol, enrollment.Where{Trial: id}, &p)
	return p, err
}

// call asks a member of the network.
func (d *Desk) call(ctx context.Context, to identity.DID, protocol string, request, answer any) error {
	raw, err := json.Marshal(request)
	if err != nil {
		return err
	}
	reply, err := d.cfg.Network.Call(ctx, to, protocol, raw)
	if err != nil {
		if _, said := errors.AsType[*problem.Error](err); !said {
			err = errors.Join(errUnreached, err)
		}
		return err
	}
	if json.Unmarshal(reply, answer) != nil {
		return errUnreached
	}
	return nil
}

var errOther = problem.New(problem.Conflict, "the patient is enrolled in this trial already, under another identifier; which is wrong is for the site to find out")

var errUnreached = problem.New(problem.Unavailable, "the hub does not answer, or is of a version that enrolls nobody; try again, or have it updated")
