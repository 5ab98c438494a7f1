package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/simulations/participants"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// trialID is the demonstration's trial.
const trialID = "sinusitis-demo"

// paperLife is how long the trial's papers hold.
const paperLife = 2 * 365 * 24 * time.Hour

// OMOP concepts of the two questions, and the plausible range of a systolic
// blood pressure in mm[Hg].
const (
	conceptSinusitis = 40481087
	conceptSystolic  = 3004249
	systolicLow      = 50
	systolicHigh     = 260
)

// demo tells the story of one question.
type demo struct {
	*world
	screen  io.Writer
	started time.Time
	chapter int

	consented map[string]bool // patients whose grant stands
	pooled    truth           // what their raw data give, counted once
	count     hubclient.Question
	mean      hubclient.Question
	outcome   outcome
}

func newDemo(w *world, screen io.Writer) *demo {
	return &demo{world: w, screen: screen, started: time.Now(), consented: make(map[string]bool)}
}

// say prints a line.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.screen, format+"\n", args...) // a closed screen stops no demonstration
}

// tell goes through the chapters.
func (d *demo) tell() error {
	defer func() { d.outcome.Seconds = math.Round(time.Since(d.started).Seconds()*10) / 10 }()
	for _, c := range []struct {
		title string
		do    func() error
	}{
		{"A hub, a chain, three hospitals", d.build},
		{"Each hospital loads its own patients", d.load},
		{"An ethics board approves a trial, patients decide", d.consent},
		{"A researcher asks how many", d.askCount},
		{"A researcher asks how much", d.askMean},
		{"Every hospital proves that consent covered what it used", d.prove},
		{"A regulator checks", d.verify},
		{"Somebody flips one bit of the ledger", d.tamper},
	} {
		d.chapter++
		d.say("")
		d.say("%d. %s  (%.1f s)", d.chapter, c.title, time.Since(d.started).Seconds())
		if err := c.do(); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(c.title), err)
		}
	}
	d.say("")
	d.say("Done in %.1f s.", time.Since(d.started).Seconds())
	return nil
}

// build starts all parties.
func (d *demo) build() error {
	if err := d.startKeys(); err != nil {
		return err
	}
	d.say("   development keys for the proofs are in %s; the first time they are made, which takes a while", d.circuits)
	if err := d.startHub(); err != nil {
		return err
	}
	d.say("   hub     %s  with the public ledger %s", d.hub.URL(), "demo.trialmesh.local/log")
	d.say("   chain   %s  id 1337, in this process", d.chain.URL())
	if err := d.startSites(); err != nil {
		return err
	}
	d.outcome.Nodes = len(d.sites)
	for _, s := range d.sites {
		d.say("   %-7s %s  enrolled as %s, dials out only", s.hospital.Name, s.node.URL(), s.node.DID().Short())
	}
	return nil
}

// load brings the hospitals' FHIR files to their nodes.
func (d *demo) load() error {
	vocabulary := filepath.Join(d.dir, "vocabulary")
	if err := testdata.ExtractVocabulary(vocabulary); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(d.ctx)
	loads := make([]load, len(d.sites))
	for i, s := range d.sites {
		group.Go(func() error {
			if _, err := node.LoadVocabulary(ctx, node.Config{Dir: s.dir}, os.DirFS(vocabulary), nil); err != nil {
				return err
			}
			var err error
			loads[i], err = s.load(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, s := range d.sites {
		l := loads[i]
		d.say("   %-7s %d files, %d records: %d rows stored, %d were there, %d records with problems",
			s.hospital.Name, l.files, l.records, l.stored, l.duplicates, l.rejected)
		d.outcome.Patients += l.patients
		d.outcome.Observations += l.observations
	}
	return nil
}

// consent registers the trial and records what the patients signed.
func (d *demo) consent() error {
	if err := d.registerTrial(); err != nil {
		return err
	}
	d.say("   trial %s: signed by its sponsor %s, approved by the board %s", trialID, d.sponsor.DID().Short(), d.board.DID().Short())
	for _, s := range d.sites {
		said, err := d.signed(s)
		if err != nil {
			return err
		}
		if _, err := s.client.RecordConsents(d.ctx, said.Messages); err != nil {
			return fmt.Errorf("%s: %w", s.hospital.Name, err)
		}
		for _, patient := range said.Granted {
			d.consented[patient] = true
		}
		d.say("   %-7s %d patients grant, %d refuse, %d withdraw", s.hospital.Name, len(said.Granted), len(said.Refused), len(said.Withdrawn))
	}
	for _, s := range d.sites {
		status, err := s.waitForEpoch(d.ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.hospital.Name, err)
		}
		d.say("   %-7s consent epoch %d proved and on the ledger", s.hospital.Name, status)
	}
	return nil
}

// registerTrial signs, approves and registers the trial, or does it again with
// the same papers.
func (d *demo) registerTrial() error {
	path := filepath.Join(d.dir, "people", "trial.json")
	var r trial.Registration
	err := readJSON(path, &r)
	if errors.Is(err, os.ErrNotExist) {
		if r, err = d.signTrial(); err == nil {
			err = writeJSON(path, r)
		}
	}
	if err != nil {
		return err
	}
	c, err := d.client("sponsor")
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.RegisterTrial(d.ctx, r)
	return err
}

func (d *demo) signTrial() (trial.Registration, error) {
	now := time.Now()
	design := trial.Design{
		ID: trialID, Title: "Viral sinusitis and blood pressure in three hospitals (demonstration)",
		Researchers: []identity.DID{d.researcher.DID()}, Analyses: kinds(),
		Opens: now.Add(-time.Hour).UTC().Truncate(time.Second), Closes: now.AddDate(2, 0, 0).UTC().Truncate(time.Second),
	}
	for _, s := range d.sites {
		design.Nodes = append(design.Nodes, s.node.DID())
	}
	signed, err := message.Seal(d.sponsor, trial.KindDesign, design, now, paperLife, rand.Reader)
	if err != nil {
		return trial.Registration{}, err
	}
	approval, err := message.Seal(d.board, trial.KindApproval, trial.Approval{
		Trial: trialID, Design: signed.Digest(), Statement: "Approved for the demonstration.",
	}, now, paperLife, rand.Reader)
	return trial.Registration{Design: signed, Approvals: []message.Envelope{approval}}, err
}

// signed returns what a hospital's patients say; they say it once.
func (d *demo) signed(s *site) (participants.Signed, error) {
	path := filepath.Join(d.dir, "people", s.hospital.Name+".json")
	var said participants.Signed
	err := readJSON(path, &said)
	if !errors.Is(err, os.ErrNotExist) {
		return said, err
	}
	if said, err = participants.Sign(d.ctx, s.hospital.Name, trialID, s.node.DID(), time.Now()); err != nil {
		return said, err
	}
	return said, writeJSON(path, said)
}

func readJSON(path string, out any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

func writeJSON(path string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeWhole(path, string(raw))
}

// kinds are all there are: whoever tries the demonstration may try any.
func kinds() []string {
	var names []string
	for _, kind := range query.Kinds() {
		names = append(names, string(kind))
	}
	return names
}
