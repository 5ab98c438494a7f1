package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/federation/cosign"
	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// proofTime bounds the wait for a question's proofs.
const proofTime = 90 * time.Second

// prove waits until every node's access proof is on the chain. A repeated
// answer rests on the proofs of the first one.
func (d *demo) prove() error {
	c, err := d.client("researcher")
	if err != nil {
		return err
	}
	defer c.Close()
	for i, q := range []*hubclient.Question{&d.count, &d.mean} {
		id := q.ID
		if q.Result.Repeats != nil {
			id = *q.Result.Repeats
		}
		proved, err := c.Question(d.ctx, id.String(), hubclient.WaitProofs, proofTime)
		if err != nil {
			return err
		}
		if !proved.ProofsDone {
			return fmt.Errorf("question %.12s: only %d proofs after %s", id, len(proved.Accesses), proofTime)
		}
		for _, a := range proved.Accesses {
			d.say("   question %.12s, %-7s proof accepted by the contract in block %d, %d gas", id, d.nameOf(a.Node), a.Block, a.Gas)
			if i == 0 {
				d.outcome.Proofs.VerifiedOnChain++
				d.outcome.Proofs.Gas += a.Gas
			}
		}
	}
	return nil
}

func (d *demo) nameOf(did identity.DID) string {
	for _, s := range d.sites {
		if s.node.DID() == did {
			return s.hospital.Name
		}
	}
	return did.Short()
}

// trust is what the regulator was given on another way: here, by the hub's own
// hand.
func (d *demo) trust() evidence.Trust {
	return evidence.Trust{Trust: d.hub.Trust(), Boards: []identity.DID{d.board.DID()}}
}

// verify does what trialmesh verify query does, from the hub's public data and
// the chain.
func (d *demo) verify() error {
	c, err := d.client("researcher") // for the connection; reading needs no token
	if err != nil {
		return err
	}
	defer c.Close()
	source, err := evidence.NewRemote(c.Origin(), c.HTTP())
	if err != nil {
		return err
	}
	for _, id := range []query.ID{d.count.ID, d.mean.ID} {
		report, err := evidence.VerifyQuery(d.ctx, source, d.trust(), d.chain.URL(), id)
		if err != nil {
			return err
		}
		d.say("   trialmesh verify query %.12s", id)
		d.sayChecks(report)
		d.outcome.Verify.Failed += len(report.Failed())
	}
	if d.outcome.Verify.Failed > 0 {
		return fmt.Errorf("%d checks failed", d.outcome.Verify.Failed)
	}
	return nil
}

// areas say what the checks of a report show, by the first part of their names, in the order
// in which they build on each other.
var areas = []struct{ name, shows string }{
	{"log", "the ledger is signed, and no entry of it was changed"},
	{"question", "the researcher signed exactly this question"},
	{"trial", "a trusted board approved the trial, and it allows the question"},
	{"result", "the answer is the one on record, within the limits that were promised"},
	{"node", "the hospitals that answered are admitted"},
	{"epoch", "each answered under its newest consents, and proved what they permit"},
	{"access", "each proved that every record it used had a consent in force"},
	{"chain", "the contract verifies these proofs as well, and holds the ledger's root"},
}

// sayChecks says of each area how many checks passed. What failed, and what no check covers,
// is said in full.
func (d *demo) sayChecks(report evidence.Report) {
	passed := make(map[string]int)
	for _, check := range report.Checks {
		if area, _, _ := strings.Cut(check.Name, "."); check.OK {
			passed[area]++
		} else {
			d.say("     %s", check)
		}
		if check.Skipped == "" {
			d.outcome.Verify.Checks++
		}
	}
	for _, area := range areas {
		d.say("     %2d checks passed  %s", passed[area.name], area.shows)
	}
}

// tamper flips one bit in a copy of the ledger and verifies the copy.
func (d *demo) tamper() error {
	dir := filepath.Join(d.dir, "copy")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := ledger.Export(d.ctx, d.hub.Ledger, dir); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "tile", "entries", "*"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("the copy of the ledger holds no entries"))
	}
	path := files[0]
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		inside, err := filepath.Glob(filepath.Join(path, "*"))
		if err != nil || len(inside) == 0 {
			return errors.Join(err, errors.New("the copy of the ledger holds no entries"))
		}
		path = inside[0]
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := len(raw) / 2
	raw[at] ^= 0x10
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return err
	}
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	d.say("   one bit of byte %d of %s in a copy of the ledger is flipped", at, relative)
	report, err := ledger.Verify(d.ctx, ledger.Dir(os.DirFS(dir)), cosign.Trust{Origin: d.trust().Origin, Keys: []string{d.trust().LogKey}})
	if err == nil {
		return errors.New("the damage was not found")
	}
	if len(report.Damage) == 0 {
		return err
	}
	d.outcome.Tamper = tamperOutcome{Detected: true, Where: report.Damage[0].String()}
	d.say("   found: %s", d.outcome.Tamper.Where)
	return nil
}
