// Package peertest builds whole sites for tests: persons in OMOP tables, their
// consents, a release gate and the peer that answers tasks.
//
// A [Site] runs the real packages over a real database; only its proofs are
// [Proofs], which bind exactly what real ones bind and cost nothing.
package peertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/consent"
	loads "github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/node/release"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// OMOP concepts of the people here.
const (
	Female     = 8532
	Male       = 8507
	Diabetes   = 201826
	Relapse    = 443238 // diabetes with a complication, 30 days after the first event
	Systolic   = 3004249
	MmHg       = 8876
	everything = agreed.Mask(1<<agreed.Demographics | 1<<agreed.Conditions | 1<<agreed.Measurements | 1<<agreed.Statistics)
)

// Venue is the chain of the test network.
var Venue = protocol.Venue{ChainID: 1337, Contract: "0x00112233445566778899aabbccddeeff00112233"}

// Person is somebody with diabetes.
type Person struct {
	Sex   int64   // Female, Male or 0
	Born  int     // year
	Value float64 // systolic pressure in mm[Hg], 0 for none

	// Relapsed persons have Relapse too, so many days after their first event: 0 for 30.
	Relapsed bool
	After    int

	// Silent persons gave no consent.
	Silent bool
}

// People returns females and males, born from 1940 on, with distinct values.
func People(females, males int) []Person {
	var people []Person
	for i := range females + males {
		p := Person{Sex: Female, Born: 1940 + i%60, Value: 100 + float64(i%60)}
		if i >= females {
			p.Sex = Male
		}
		people = append(people, p)
	}
	return people
}

// Config configures a [Site].
type Config struct {
	Key    identity.Key // the node's; required
	Hub    identity.DID // required
	Trial  Trial        // required
	Policy disclosure.Policy
	People []Person

	// Approvers decide about questions, as the bundle at ApprovalPolicy has it.
	// Defaults to nobody and the default policy: every question passes.
	Approvers      []identity.DID
	ApprovalPolicy string

	// Evaluating, if set, is called while a question about a measurement is evaluated.
	Evaluating func(ctx context.Context)

	// Proving makes real proofs of Shape, with Epochs and EpochKey. Defaults to stand-ins.
	Shape    circuits.Shape
	Proving  peer.Proving
	Epochs   consent.Prover
	EpochKey message.Digest

	DB  *sqldb.DB        // Defaults to a new SQLite file.
	Now func() time.Time // Defaults to time.Now.
}

// Site is one node without its network.
type Site struct {
	Config
	Book    *consent.Book
	Columns *columns.Book
	Gate    *release.Gate

	// Doubt is why no question is taken, nil if they are.
	Doubt error

	Desk *approval.Desk
	Peer *peer.Peer

	// Datasets are empty; see [Site.LoadDataset].
	Datasets *dataset.Store

	// Persons, Participants and Grants are of those who gave consent.
	Persons      []omop.PersonID
	Participants []identity.Key
	Grants       []message.Envelope
}

// Shape is that of the test circuits: 128 participants a site.
var Shape = circuits.Shape{ShardSize: 64, Shards: 2, Slots: 4}

// NewSite returns a site with its people and their consents on record. No
// epoch is published; see [Site.Publish].
func NewSite(t testing.TB, cfg Config) *Site {
	t.Helper()
	if cfg.DB == nil {
		cfg.DB = sqltest.SQLite(t)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Shape == (circuits.Shape{}) {
		cfg.Shape, cfg.Epochs, cfg.EpochKey = Shape, Proofs{}, EpochCircuit().Digest()
		cfg.Proving = peer.Proving{Prover: Proofs{}, Circuit: Shape.Access(), Key: AccessCircuit().Digest(), Venue: Venue, Results: results()}
	}
	s := &Site{Config: cfg}
	s.Reopen(t)
	s.populate(t)
	return s
}

// Reopen starts the site's parts anew on its database, as a restart does.
func (s *Site) Reopen(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	store, err := omop.Open(ctx, s.DB)
	require.NoError(t, err)
	trail, err := audit.Open(ctx, s.DB, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	secret := [32]byte(message.Sum([]byte(s.Key.DID()))) // no two sites hide alike
	s.Book, err = consent.Open(ctx, consent.Config{DB: s.DB, Key: s.Key, Trail: trail, Secret: secret, Shape: s.Shape, Window: 24 * time.Hour})
	require.NoError(t, err)
	s.Datasets, err = dataset.Open(ctx, s.DB)
	require.NoError(t, err)
	s.Columns, err = columns.Open(ctx, columns.Config{DB: s.DB, Key: s.Key, Trail: trail, Consents: s.Book, Datasets: s.Datasets, Secret: secret, Shape: s.Shape})
	require.NoError(t, err)
	s.Gate, err = release.Open(ctx, s.DB)
	require.NoError(t, err)
	policy, err := approval.Load(ctx, s.ApprovalPolicy)
	require.NoError(t, err)
	s.Desk, err = approval.Open(ctx, approval.Config{DB: s.DB, Node: s.Key.DID(), Policy: policy, Approvers: s.Approvers, Trail: trail, Now: s.Now})
	require.NoError(t, err)
	words, err := vocab.Open(ctx, s.DB)
	require.NoError(t, err)
	concepts := query.Concepts{Store: words}
	index, err := eventindex.Open(eventindex.Config{Dir: t.TempDir(), DB: s.DB, Store: store, Vocabulary: concepts})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, index.Close()) })
	s.Peer, err = peer.Open(ctx, peer.Config{
		DB: s.DB, Key: s.Key, Hub: s.Hub, Boards: []identity.DID{s.Trial.Board.DID()}, Policy: s.Policy,
		Consents: s.Book, Columns: s.Columns, Gate: s.Gate, Trail: trail, Approvals: s.Desk, Now: s.Now,
		Engine: query.NewEngine(query.Config{DB: s.DB, Store: store, Index: index, Vocabulary: concepts, Units: units{s.Evaluating}, Datasets: s.Datasets}),
		Proving: func() (peer.Proving, error) {
			return s.Proving, nil
		},
		Believed: func() error { return s.Doubt },
	})
	require.NoError(t, err)
}

type units struct{ evaluating func(context.Context) }

func (u units) UnitConcept(ctx context.Context, ucum string) (int64, error) {
	if u.evaluating != nil {
		u.evaluating(ctx)
	}
	if ucum == "mm[Hg]" {
		return MmHg, nil
	}
	return 0, nil
}

func (s *Site) populate(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	start, err := sqldb.ParseDate("2020-01-01")
	require.NoError(t, err)
	end, err := sqldb.ParseDate("2026-01-01")
	require.NoError(t, err)
	event, err := sqldb.ParseDate("2024-06-01")
	require.NoError(t, err)
	var batches []omop.Batch // one a person, so that numbers are in the order of People
	for i, p := range s.People {
		batch := omop.Batch{Raw: [32]byte{1}, Mapper: "peertest/1", At: s.Now()}
		key := mapping.PersonKey(fmt.Sprintf("p%d", i))
		row := func(kind string) omop.Record {
			return omop.Record{Key: omop.NewKey(fmt.Sprintf("%s%d", kind, i)), Person: key, Pointer: "entry"}
		}
		batch.Persons = append(batch.Persons, omop.Person{Key: key, Pointer: "entry", GenderConceptID: p.Sex, YearOfBirth: p.Born})
		batch.Periods = append(batch.Periods, omop.ObservationPeriod{Person: key, Start: start, End: end, TypeConceptID: 32817})
		batch.Conditions = append(batch.Conditions, omop.Condition{Record: row("c"), ConceptID: Diabetes, Start: event, TypeConceptID: 32817})
		if p.After == 0 {
			p.After = 30
		}
		if p.Relapsed {
			batch.Conditions = append(batch.Conditions, omop.Condition{Record: row("r"), ConceptID: Relapse, Start: event + omop.Date(p.After), TypeConceptID: 32817})
		}
		if p.Value != 0 {
			batch.Measurements = append(batch.Measurements, omop.Measurement{
				Record: row("m"), ConceptID: Systolic, Start: event, TypeConceptID: 32817, Number: &p.Value, UnitConceptID: MmHg,
			})
		}
		batches = append(batches, batch)
	}
	store, err := omop.Open(ctx, s.DB)
	require.NoError(t, err)
	require.NoError(t, s.DB.Write(ctx, func(tx *sqldb.Tx) error {
		for _, batch := range batches {
			result, err := store.Put(ctx, tx, batch)
			if err != nil {
				return err
			}
			require.Empty(t, result.Refused)
		}
		return nil
	}))
	var persons []omop.PersonID
	require.NoError(t, s.DB.Read(ctx, func(tx *sqldb.Tx) error {
		for p, err := range store.Persons(ctx, tx) {
			require.NoError(t, err)
			persons = append(persons, p.ID)
		}
		return nil
	}))
	require.Len(t, persons, len(s.People))
	for i, person := range persons {
		if s.People[i].Silent {
			continue
		}
		s.Consent(t, person)
	}
}

// Consent records a new participant's grant for a person.
func (s *Site) Consent(t testing.TB, person omop.PersonID) {
	t.Helper()
	participant := NewKey(t)
	now := s.Now()
	grant, err := message.Seal(participant, agreed.KindGrant, agreed.Grant{
		Trial: s.Trial.Design.ID, Node: s.Key.DID(), Scopes: everything,
		From: now.Add(-time.Hour).UTC().Truncate(time.Second), To: now.Add(365 * 24 * time.Hour).UTC().Truncate(time.Second),
		Document: message.Sum([]byte("consent form")),
	}, now, 366*24*time.Hour, rand.Reader)
	require.NoError(t, err)
	changed, err := s.Book.Record(t.Context(), person, grant, now)
	require.NoError(t, err)
	require.True(t, changed)
	s.Persons = append(s.Persons, person)
	s.Participants = append(s.Participants, participant)
	s.Grants = append(s.Grants, grant)
}

// LoadDataset loads a CSV file in which person i of People is the FHIR Patient pi.
func (s *Site) LoadDataset(t testing.TB, schema dataset.Schema, text string) {
	t.Helper()
	people, err := omop.Open(t.Context(), s.DB)
	require.NoError(t, err)
	trail, err := audit.Open(t.Context(), s.DB, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	loader := loads.New(loads.Config{DB: s.DB, Store: s.Datasets, People: people, Trail: trail, Now: s.Now})
	_, err = loader.Load(t.Context(), schema, strings.NewReader(text), false)
	require.NoError(t, err)
}

// Commit fixes columns of a data set and lets record put them on a ledger.
func (s *Site) Commit(t testing.TB, name string, record func(message.Envelope) int64) {
	t.Helper()
	_, err := s.Columns.Commit(t.Context(), s.Trial.Design.ID, name, nil, s.Now())
	require.NoError(t, err)
	drafts, err := s.Columns.Drafts(t.Context(), s.Now())
	require.NoError(t, err)
	for _, d := range drafts {
		require.NoError(t, s.Columns.Recorded(t.Context(), d, record(d.Envelope), s.Now()))
	}
}

// Withdraw takes the i-th participant's consent back.
func (s *Site) Withdraw(t testing.TB, i int) {
	t.Helper()
	withdrawal, err := message.Seal(s.Participants[i], agreed.KindWithdrawal, agreed.Withdrawal{
		Trial: s.Trial.Design.ID, Node: s.Key.DID(), Grant: s.Grants[i].Digest(),
	}, s.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	changed, err := s.Book.Record(t.Context(), s.Persons[i], withdrawal, s.Now())
	require.NoError(t, err)
	require.True(t, changed)
}

// Publish closes a consent epoch and lets record put it on a ledger, after the changes of
// leaves that it holds.
func (s *Site) Publish(t testing.TB, record func(consent.Draft) int64) message.Digest {
	t.Helper()
	for {
		draft, err := s.Book.Draft(t.Context(), s.Trial.Design.ID, s.EpochKey, s.Epochs, s.Now())
		require.NoError(t, err)
		require.NotNil(t, draft)
		require.NoError(t, s.Book.Recorded(t.Context(), *draft, record(*draft), s.Now()))
		if draft.IsEpoch() {
			return draft.Envelope.Digest()
		}
	}
}

// NewKey draws a key.
func NewKey(t testing.TB) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}
