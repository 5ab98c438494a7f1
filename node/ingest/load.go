package ingest

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/connectors/source/observation"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/quality"
)

// Limits of a batch besides Config.BatchRows, for files that give few rows.
const (
	batchSteps    = 20_000
	batchProblems = 1000
	batchPoints   = 50_000
)

// Findings about messages that say that two records are of one patient, or of one visit:
// those of patients are applied, those of visits are not.
const (
	findingMerged      = "merged"
	findingVisitsApart = "visit-merge-not-applied"
)

// findingSuperseded counts rows of which a file that came later says something else.
// A file that is sent again has the place it got when it came first.
const findingSuperseded = "superseded"

// load is the state of one attempt. What is in its batch, problems and counts but
// not yet committed is lost with the process and done again by the next attempt,
// which passes over the steps that were committed.
type load struct {
	s       *Service
	job     *jobs.Job[args]
	mapper  string // its name
	words   *mapping.Mapper
	checker *quality.Checker
	src     *counter

	skip int64 // steps that an earlier attempt has committed and this one passes over

	// Since the last commit.
	batch    omop.Batch
	columns  columns
	imported imported
	lines    map[string]int // of the records in batch, by pointer
	problems []Problem
	pending  int64 // steps

	// Committed, and with the above what will be.
	steps  int64
	counts Counts
	listed int
}

// begin marks the job as running and finds out where an earlier attempt has ended.
func (s *Service) begin(ctx context.Context, j *jobs.Job[args], file raw.Digest, by meaning) (*load, error) {
	mapper := by.name
	l := &load{s: s, job: j, mapper: mapper, words: by.mapper, checker: quality.New(s.cfg.Now(), by.variables), lines: map[string]int{}}
	l.batch.Raw, l.batch.Mapper, l.batch.MayMerge = file, mapper, s.cfg.MayMerge
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var was, counts string
		if err := tx.QueryRow(ctx, `SELECT mapper, steps, counts, listed FROM ingest_job WHERE job_id = ?`, j.ID).
			Scan(&was, &l.steps, &counts, &l.listed); err != nil {
			return err
		}
		if was == mapper {
			if err := json.Unmarshal([]byte(counts), &l.counts); err != nil {
				return err
			}
		} else { // other rows may come of the same records: begin again
			l.steps, l.listed = 0, 0
			if _, err := tx.Exec(ctx, `DELETE FROM ingest_problem WHERE job_id = ?`, j.ID); err != nil {
				return err
			}
		}
		l.skip = l.steps
		if err := tx.QueryRow(ctx, `SELECT min(job_id) FROM ingest_job WHERE file = ?`, file.String()).Scan(&l.batch.Position); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, attempt = ?, mapper = ?, started_at = coalesce(started_at, ?) WHERE job_id = ? AND state <> ?`,
			string(Running), j.Attempt, mapper, s.cfg.Now(), j.ID, string(Cancelled))
		if err == nil && n == 0 {
			err = errCancelled
		}
		return err
	})
	for _, m := range []*map[string]int64{&l.counts.ByType, &l.counts.Unmapped, &l.counts.Findings} {
		if *m == nil {
			*m = map[string]int64{}
		}
	}
	return l, err
}

// step takes one result of the reader.
func (l *load) step(ctx context.Context, rec fhir.Record, err error) error {
	p, bad := fhir.AsProblem(err)
	if err != nil && !bad {
		return err
	}
	if l.skip > 0 {
		l.skip--
		return l.recall(ctx, rec)
	}
	l.pending++
	switch {
	case bad && p.Rule == fhir.RuleUnresolvedReference:
		// The record itself came and is stored; whom it belongs to is checked there.
		l.counts.Findings[string(p.Rule)]++
	case bad:
		l.reject(Problem{Line: p.Line, Path: p.Path, Rule: string(p.Rule), Detail: p.Detail})
	default:
		if err := l.record(ctx, rec); err != nil {
			return err
		}
	}
	if l.rows() >= l.s.cfg.BatchRows || l.columns.points >= batchPoints || l.pending >= batchSteps || len(l.problems) >= batchProblems {
		return l.commit(ctx, nil)
	}
	return nil
}

// recall tells the quality checks about the persons of committed steps.
func (l *load) recall(ctx context.Context, rec fhir.Record) error {
	if _, ok := rec.Resource.(*fhir.Patient); !ok {
		return nil
	}
	var b omop.Batch
	_, err := l.words.Map(ctx, rec, &b)
	l.checker.Learn(&b)
	return err
}

func (l *load) record(ctx context.Context, rec fhir.Record) error {
	l.counts.Records++
	count(l.counts.ByType, rec.Type)
	if rec.Resource == nil {
		return nil
	}
	switch r := rec.Resource.(type) {
	case *observation.Series:
		return l.observe(ctx, rec, r)
	case *cdm.Row:
		l.take(rec, r)
		return nil
	case *hl7v2.Merge:
		l.unite(rec, r)
		return nil
	}
	result, err := l.words.Map(ctx, rec, &l.batch)
	if err != nil {
		return err
	}
	for _, p := range result.Problems {
		l.reject(Problem{Line: rec.Line, Path: strings.TrimPrefix(rec.Path+"."+p.Path, "."), Rule: string(p.Rule)})
	}
	for _, u := range result.Unmapped {
		l.counts.Unmapped[u.Vocabulary+" "+string(u.Part)]++
	}
	l.lines[mapping.Pointer(rec)] = rec.Line
	return nil
}

// unite takes a message that says that two records are of one patient.
func (l *load) unite(rec fhir.Record, m *hl7v2.Merge) {
	if m.Survivor.Type != "Patient" {
		l.counts.Findings[findingVisitsApart]++
		return
	}
	pointer := mapping.Pointer(rec)
	l.batch.Merges = append(l.batch.Merges, omop.Merge{
		Survivor: mapping.PersonKey(m.Survivor.ID), Retired: mapping.PersonKey(m.Retired.ID), Pointer: pointer,
	})
	l.lines[pointer] = rec.Line
}

// maxTypes bounds the names that a file can make up.
const maxTypes = 200

func count(by map[string]int64, name string) {
	if _, ok := by[name]; !ok && len(by) >= maxTypes {
		name = "other"
	}
	by[name]++
}

func (l *load) rows() int {
	b := &l.batch
	return len(b.Persons) + len(b.Visits) + len(b.Conditions) + len(b.Drugs) + len(b.Procedures) +
		len(b.Measurements) + len(b.Observations) + len(b.Deaths) + len(b.Stated) + len(b.Merges) +
		len(b.Devices) + len(b.Specimens) + len(b.VisitDetails) + len(b.PayerPlans) +
		len(b.Locations) + len(b.CareSites) + len(b.Providers)
}

// commit stores what has come since the last commit; last is the transaction's last
// act. After an error the attempt is over and l is of no further use.
func (l *load) commit(ctx context.Context, last func(*sqldb.Tx) error) error {
	if err := l.judge(ctx); err != nil {
		return err
	}
	for rule, n := range l.checker.Check(&l.batch) {
		l.counts.Findings[string(rule)] += int64(n)
	}
	mapping.Periods(&l.batch)
	l.batch.At = l.s.cfg.Now()
	var result omop.Result
	err := l.s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) (err error) {
		if last != nil {
			if err := l.aheadOfSweep(ctx, tx); err != nil {
				return err
			}
		}
		if l.rows() > 0 {
			if result, err = l.s.cfg.Store.Put(ctx, tx, l.batch); err != nil {
				return err
			}
		}
		l.add(result)
		if err := l.land(ctx, tx); err != nil {
			return err
		}
		if last != nil {
			if err := l.sweep(ctx, tx); err != nil {
				return err
			}
		}
		if err := l.save(ctx, tx); err != nil || last == nil {
			return err
		}
		return last(tx)
	})
	if err != nil {
		return err
	}
	l.s.m.observe(l.pending, result)
	l.batch = omop.Batch{Raw: l.batch.Raw, Mapper: l.mapper, Position: l.batch.Position, MayMerge: l.batch.MayMerge}
	l.columns.clear()
	clear(l.lines)
	l.problems, l.pending = nil, 0
	return nil
}

// add takes in what the store said about the batch.
func (l *load) add(r omop.Result) {
	l.counts.Stored += int64(r.Stored)
	l.counts.Replaced += int64(r.Replaced)
	l.counts.Duplicates += int64(r.Duplicates)
	for finding, n := range map[string]int{findingSuperseded: r.Superseded, findingMerged: r.Merged} {
		if n > 0 {
			l.counts.Findings[finding] += int64(n)
		}
	}
	for _, refused := range r.Refused {
		if refused.Table == omop.PeriodTable && refused.Pointer == "" {
			continue // made from rows that are refused themselves
		}
		if refused.Rule == omop.UnknownPerson {
			l.counts.Strangers++
		}
		p := Problem{Line: l.line(refused.Pointer), Path: refused.Pointer, Rule: string(refused.Rule), Detail: "table " + refused.Table.String()}
		if refused.Rule == omop.MergeRefused {
			p.Detail = "both have said something about consent in one trial, or the retired one has time series: they stay two persons"
		}
		if refused.Rule == omop.UnknownPerson && l.imported.uses != nil {
			p.Path = "person_id"
			p.Detail += "; load the table person first, then this file again"
		}
		l.reject(p)
	}
	if l.imported.uses != nil {
		for _, pointer := range r.Visitless {
			l.find(findingUnknownVisit, "visit_occurrence_id", l.line(pointer), 1)
		}
		for _, column := range slices.Sorted(maps.Keys(r.Unnamed)) {
			for _, pointer := range r.Unnamed[column] {
				l.find(findingUnknownRow, column, l.line(pointer), 1)
			}
		}
	}
	l.counts.BytesRead = l.src.n
	l.steps += l.pending
}

// line is where the record of a row begins, 0 if it is not known; the pointer of a
// component begins with that of its record and a dot.
func (l *load) line(pointer string) int {
	for {
		if line, ok := l.lines[pointer]; ok {
			return line
		}
		dot := strings.LastIndexByte(pointer, '.')
		if dot < 0 {
			return 0
		}
		pointer = pointer[:dot]
	}
}

func (l *load) save(ctx context.Context, tx *sqldb.Tx) error {
	for _, p := range l.problems {
		l.listed++
		if _, err := tx.Exec(ctx, `INSERT INTO ingest_problem (job_id, number, line, path, rule, detail) VALUES (?, ?, ?, ?, ?, ?)`,
			l.job.ID, l.listed, p.Line, p.Path, p.Rule, p.Detail); err != nil {
			return err
		}
	}
	counts, err := json.Marshal(l.counts)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE ingest_job SET steps = ?, counts = ?, listed = ? WHERE job_id = ? AND state <> ?`,
		l.steps, string(counts), l.listed, l.job.ID, string(Cancelled))
	if err == nil && n == 0 {
		err = errCancelled
	}
	return err
}

// finish commits what is left together with the outcome and the end of the job.
func (l *load) finish(ctx context.Context) error {
	if l.counts.Records == 0 && l.counts.Rejected == 0 {
		l.reject(Problem{Rule: RuleNoRecord, Detail: "the file holds no record"})
	}
	return l.commit(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, ended_at = ?, error = '' WHERE job_id = ?`,
			string(l.outcome()), l.s.cfg.Now(), l.job.ID); err != nil {
			return err
		}
		if err := l.s.record(ctx, tx, JobID(l.job.ID), l.job.Args.File, l.outcome()); err != nil {
			return err
		}
		return l.job.Complete(ctx, tx)
	})
}

func (l *load) outcome() State {
	if l.counts.Rejected > 0 {
		return WithProblems
	}
	return Completed
}

// counter counts the bytes of the raw copy that were read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
