package ingest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// RuleNoRecord is the rule of the one problem of a file in which nothing is: an
// export that failed must not look like one that was loaded.
const RuleNoRecord = "no-record"

// Problem is a record, or a part of one, that was not stored; or the first row of a
// CDM with a finding that does not keep it out. It holds no byte of the file.
type Problem struct {
	Line   int    // on which the record begins, from 1; 0 if unknown or of no record
	Path   string // such as entry[17].resource.code; of a file with lines it goes on from Line, and may be empty
	Rule   string // of the file's format, node/mapping, localstore/omop or localstore/series, [RuleNoRecord] or [RuleInvalidUnit]
	Detail string // may be empty
}

// reject counts a problem, and keeps it if it will be listed.
func (l *load) reject(p Problem) {
	l.counts.Rejected++
	if rest, ok := strings.CutPrefix(p.Path, "line "+strconv.Itoa(p.Line)); ok && (rest == "" || strings.ContainsAny(rest[:1], ". ")) {
		p.Path = strings.TrimLeft(rest, ". ")
	}
	if l.listed+len(l.problems) < l.s.cfg.MaxProblems {
		l.problems = append(l.problems, p)
	}
}

// Problems returns the listed problems of a job in the order of the file as far as
// it can be known, at most limit (1 to 1,000) from offset. Counts.Rejected tells
// how many were not stored, listed or not.
func (s *Service) Problems(ctx context.Context, id JobID, offset, limit int) ([]Problem, error) {
	if offset < 0 || limit < 1 || limit > 1000 {
		return nil, problem.New(problem.Invalid, "a page has 1 to 1,000 problems and a start of 0 or more")
	}
	var list []Problem
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT line, path, rule, detail FROM ingest_problem WHERE job_id = ? AND number > ? ORDER BY number LIMIT ?`, []any{int64(id), offset, limit}, func(rows *sqldb.Rows) error {
			var p Problem
			if err := rows.Scan(&p.Line, &p.Path, &p.Rule, &p.Detail); err != nil {
				return err
			}
			list = append(list, p)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("problems of job %d: %w", id, err)
	}
	return list, nil
}
