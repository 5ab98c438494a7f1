package network

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/trialmesh/trialmesh/federation/pki"
	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/simulations/population"
)

// Site is a node of the network.
type Site struct {
	Node    *node.Node
	dir     string
	running bool
}

// newSite enrolls a node and fills its database. It does not run yet.
func (n *Network) newSite(ctx context.Context, operator *hubclient.Client, i int) (*Site, error) {
	name := fmt.Sprintf("site-%d", i)
	s := &Site{dir: filepath.Join(n.cfg.Dir, name)}
	invitation, err := operator.Invite(ctx, name, name, time.Hour)
	if err != nil {
		return nil, err
	}
	parsed, err := pki.ParseInvitation(invitation.Invitation)
	if err != nil {
		return nil, err
	}
	if _, err := node.Init(ctx, s.dir, parsed); err != nil {
		return nil, err
	}
	cfg := node.Config{
		Dir: s.dir, DSN: n.dsn(i, s.dir), Boards: []identity.DID{n.board.DID()}, Policy: Policy(), Shape: n.cfg.Shape, Circuits: n.cfg.Circuits,
		Prover: n.prover, EpochPause: 100 * time.Millisecond, Logger: n.cfg.Logger.With("party", name),
	}
	if err := n.populate(ctx, cfg, i); err != nil {
		return nil, err
	}
	s.Node, err = node.Open(n.ctx, cfg)
	return s, err
}

// vocabulary is all that the questions need: what is measured, and its unit.
var vocabulary = fstest.MapFS{
	"CONCEPT.csv": {Data: []byte("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n" +
		"3004249\tSystolic blood pressure\tMeasurement\tLOINC\tClinical Observation\tS\t8480-6\t19700101\t20991231\t\n" +
		"8876\tmillimeter mercury column\tUnit\tUCUM\tUnit\tS\tmm[Hg]\t19700101\t20991231\t\n")},
	"CONCEPT_RELATIONSHIP.csv": {Data: []byte("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n")},
}

// populate stores the people of the i-th node. The node is not running yet.
func (n *Network) populate(ctx context.Context, cfg node.Config, i int) (err error) {
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: cfg.DSN})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store, err := omop.Open(ctx, db)
	if err != nil {
		return err
	}
	if _, err := node.LoadVocabulary(ctx, cfg, vocabulary, nil); err != nil {
		return err
	}
	people, err := population.New(population.Config{Seed: uint64(i), Size: math.MaxInt16}) //nolint:gosec // not negative
	if err != nil {
		return err
	}
	batch := omop.Batch{Raw: [32]byte{1}, Mapper: "simulation/1", At: time.Now()}
	for h, err := range people.All(ctx) {
		if err != nil {
			return err
		}
		if len(batch.Persons) == n.cfg.Persons {
			break
		}
		if h.Person.YearOfBirth <= lastBirth && followed(h) && measured(h) {
			add(&batch, h, len(batch.Persons))
		}
	}
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		result, err := store.Put(ctx, tx, batch)
		if err == nil && len(result.Refused) > 0 {
			err = fmt.Errorf("%d rows are not as the store wants them", len(result.Refused))
		}
		return err
	})
}

// followed and measured report whether a person was observed for half a year after their
// first visit, and has a blood pressure: all questions are then about the same persons, or
// the release gate would refuse the second as telling the first's rest.
func followed(h *population.History) bool {
	return len(h.Visits) > 0 && h.Visits[0].StartDate.AddDate(0, 0, halfYear).Before(h.ObservationPeriod.EndDate)
}

func measured(h *population.History) bool {
	return slices.ContainsFunc(h.Measurements, func(m population.Measurement) bool { return m.MeasurementConceptID == population.Systolic })
}

// lastBirth makes the people adults: few children have what the questions are about.
const lastBirth = 2000

// add adds a person's rows, as those of the k-th patient.
func add(b *omop.Batch, h *population.History, k int) {
	person := mapping.PersonKey(patient(k))
	day := func(t time.Time) omop.Date { return sqldb.Day(t.Date()) }
	record := func(table string, id int64) omop.Record {
		return omop.Record{Key: omop.NewKey(table + strconv.FormatInt(id, 10)), Person: person, Pointer: table}
	}
	p := h.Person
	b.Persons = append(b.Persons, omop.Person{
		Key: person, GenderConceptID: p.GenderConceptID, YearOfBirth: p.YearOfBirth, MonthOfBirth: p.MonthOfBirth, DayOfBirth: p.DayOfBirth,
		RaceConceptID: p.RaceConceptID, EthnicityConceptID: p.EthnicityConceptID,
	})
	b.Periods = append(b.Periods, omop.ObservationPeriod{
		Person: person, Start: day(h.ObservationPeriod.StartDate), End: day(h.ObservationPeriod.EndDate), TypeConceptID: h.ObservationPeriod.PeriodTypeConceptID,
	})
	for _, v := range h.Visits {
		b.Visits = append(b.Visits, omop.Visit{
			Record: record("visit", v.VisitOccurrenceID), ConceptID: v.VisitConceptID, Start: day(v.StartDate), End: day(v.EndDate), TypeConceptID: v.VisitTypeConceptID,
		})
	}
	for _, c := range h.Conditions {
		b.Conditions = append(b.Conditions, omop.Condition{
			Record: record("condition", c.ConditionOccurrenceID), ConceptID: c.ConditionConceptID, Start: day(c.ConditionStartDate), TypeConceptID: c.ConditionTypeConceptID,
		})
	}
	for _, m := range h.Measurements {
		value := m.ValueAsNumber
		b.Measurements = append(b.Measurements, omop.Measurement{
			Record: record("measurement", m.MeasurementID), ConceptID: m.MeasurementConceptID, Start: day(m.MeasurementDate),
			TypeConceptID: m.MeasurementTypeConceptID, Number: &value, UnitConceptID: m.UnitConceptID,
		})
	}
}

// patient is the id of the k-th person at their node.
func patient(k int) string { return "p" + strconv.Itoa(k) }

// consents lets everybody at a site agree to the trial, each with a key of their own.
func (n *Network) consents(ctx context.Context, s *Site) error {
	now := time.Now().Add(-time.Minute)
	for k := range n.cfg.Persons {
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			return err
		}
		grant, err := message.Seal(key, consent.KindGrant, consent.Grant{
			Trial: trialID, Node: s.Node.DID(), From: now, To: now.Add(paperLife), Document: message.Sum([]byte("simulated consent")),
			Scopes: consent.MaskOf(consent.Demographics, consent.Conditions, consent.Measurements, consent.Visits, consent.Statistics),
		}, now, paperLife, rand.Reader)
		if err != nil {
			return err
		}
		if _, err := s.Node.RecordConsent(ctx, patient(k), grant); err != nil {
			return err
		}
	}
	return nil
}

// Token reads the secret with which the site's API is called.
func (s *Site) Token() (string, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "api.token"))
	return strings.TrimSpace(string(raw)), err
}

// evaluated is the metric of what a node has spent on evaluating questions, in seconds.
const evaluated = "trialmesh_peer_evaluation_seconds_sum "

// Evaluating is how long the node has evaluated questions so far, as it says itself.
func (s *Site) Evaluating(ctx context.Context) (time.Duration, error) {
	token, err := s.Token()
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Node.URL()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), evaluated); is {
			seconds, err := strconv.ParseFloat(text, 64)
			return time.Duration(seconds * float64(time.Second)), err
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("the node does not say how long it evaluates"))
}
