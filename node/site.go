package node

import (
	"context"
	"errors"
	"syscall"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/api"
	"github.com/trialmesh/trialmesh/node/enrollment"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// errNoPatient does not say which: the caller knows what it sent.
var errNoPatient = problem.New(problem.NotFound, "no such patient is loaded at this site")

// errNotHere refuses what only the process does that is the node.
var errNotHere = problem.New(problem.Conflict, "this process only takes loads: record consents and enroll at the node itself")

// RecordConsent takes a signed message about consent of the patient with the
// given FHIR id. It is durable when RecordConsent returns.
func (n *Node) RecordConsent(ctx context.Context, patient string, e message.Envelope) (changed bool, err error) {
	if n.publisher == nil {
		return false, errNotHere
	}
	find := func(ctx context.Context, tx *sqldb.Tx) (omop.PersonID, error) { return n.patient(ctx, tx, patient) }
	changed, err = n.consents.RecordOf(ctx, find, e, n.cfg.Now())
	if changed {
		n.publisher.Wake()
	}
	return changed, err
}

// patient returns the person of a FHIR id.
func (n *Node) patient(ctx context.Context, tx *sqldb.Tx, patient string) (omop.PersonID, error) {
	person, err := n.people.PersonByKey(ctx, tx, mapping.PersonKey(patient))
	if errors.Is(err, sqldb.ErrNoRows) {
		err = errNoPatient
	}
	return person, err
}

// Enroll has a patient enrolled in a trial, under an identifier that is not kept.
func (n *Node) Enroll(ctx context.Context, id trial.ID, patient, identifier string) (enrollment.Participant, error) {
	if n.desk == nil {
		return enrollment.Participant{}, errNotHere
	}
	return n.desk.Enroll(ctx, id, patient, identifier)
}

// Enrollments returns the newest participants whom the site enrolls or has enrolled, in a trial
// or, of "", in all.
func (n *Node) Enrollments(ctx context.Context, id trial.ID) ([]enrollment.Participant, error) {
	if n.desk == nil {
		return nil, errNotHere
	}
	return n.desk.List(ctx, id)
}

// Ready reports why the node cannot serve, nil if it can. A hub out of reach
// is no reason: loads and consents are the site's own.
func (n *Node) Ready(ctx context.Context) error { return n.db.Ping(ctx) }

// Status returns how the node stands, in counts.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	status := api.Status{
		DID: n.DID(), Process: n.cfg.Process, Connected: n.Connected(), Protocol: n.protocol(), Tables: make(map[string]int64), Consents: []api.TrialConsents{},
		DiskFree: diskFree(n.cfg.Dir), Index: n.indexStatus(),
	}
	err := n.db.Read(ctx, func(tx *sqldb.Tx) error {
		counts, err := n.people.Counts(ctx, tx)
		for table, rows := range counts {
			status.Tables[table.String()] = rows
		}
		return err
	})
	if err != nil {
		return api.Status{}, err
	}
	jobs, err := n.queue.Counts(ctx)
	if err != nil {
		return api.Status{}, err
	}
	status.Jobs = map[string]int64{"queued": int64(jobs.Waiting), "running": int64(jobs.Running), "completed": int64(jobs.Done), "failed": int64(jobs.Dead)}
	consents, err := n.consents.Counts(ctx)
	if err != nil {
		return api.Status{}, err
	}
	for _, c := range consents {
		epoch, current, err := n.consents.Published(ctx, c.Trial)
		if err != nil {
			return api.Status{}, err
		}
		status.Consents = append(status.Consents, api.TrialConsents{
			Trial: c.Trial, Active: c.Active, Withdrawn: c.Withdrawn, Refused: c.Refused, Epoch: epoch, Current: current,
		})
	}
	if status.Approvals, err = n.approvals.Waiting(ctx); err != nil {
		return api.Status{}, err
	}
	if status.Decisions, err = n.gate.Summary(ctx); err != nil {
		return api.Status{}, err
	}
	if released, some := status.Decisions[""]; some {
		delete(status.Decisions, "")
		status.Decisions[api.Released] = released
	}
	return status, nil
}

// diskFree returns the bytes free for this process where dir lies, -1 if that
// is not known.
func diskFree(dir string) int64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * s.Bsize
}

// mayMerge gives what a person has said about consents to the person who survives a
// merge, and reports whether the two may become one. They may not if only they could
// say which of two wordings of theirs holds, if the one who goes has time series, which
// cannot be given to another, or if both have a row in one data set.
func (n *Node) mayMerge(ctx context.Context, tx *sqldb.Tx, survivor, retired omop.PersonID) (bool, error) {
	if some, err := n.series.Holds(ctx, tx, retired); err != nil || some {
		return false, err
	}
	if both, err := n.datasets.Shared(ctx, tx, survivor, retired); err != nil || both {
		return false, err
	}
	merged, err := n.consents.Merge(ctx, tx, survivor, retired)
	if err != nil || !merged {
		return merged, err
	}
	return true, n.datasets.Move(ctx, tx, survivor, retired)
}
