package registry

import (
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// maxStudies is how many versions of studies one researcher may register: every
// replica keeps them for good.
const maxStudies = 500

// Why the registry refuses a study.
var (
	ErrStudyUnknown = problem.New(problem.NotFound, "no such study")
	ErrStudyExists  = problem.New(problem.Conflict, "a study with this name and version is registered and says something else: give yours another version")
	ErrStudyName    = problem.New(problem.Conflict, "a study with this name is another researcher's: give yours another name")
	ErrStudies      = problem.New(problem.Conflict, "the researcher has 500 versions of studies registered, as many as one may have")
)

// registerStudy registers a version of a study, for good.
func (s step) registerStudy(c RegisterStudy) (Outcome, error) {
	content, err := message.Open[study.Study](c.Envelope, study.KindStudy, s.at)
	if err != nil {
		return Outcome{}, err
	}
	if err := content.Validate(); err != nil {
		return Outcome{}, err
	}
	for _, q := range content.Questions {
		if err := analysis.Check(q.Analysis); err != nil {
			return Outcome{}, err
		}
	}
	_, design, err := trialOf(s.ctx, s.tx, content.Trial)
	if err != nil {
		return Outcome{}, err
	}
	author := c.Envelope.Issuer
	if !slices.Contains(design.Researchers, author) {
		return Outcome{}, trial.ErrResearcher
	}
	digest, err := content.Digest()
	if err != nil {
		return Outcome{}, err
	}
	if same, err := s.newStudy(content, digest, author); err != nil || same {
		return silent(true), err
	}
	document, out, err := s.record(entry.StudyRegistered, author, content.String(), c.Envelope)
	if err != nil {
		return Outcome{}, err
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO study (digest, name, version, author, document, registered_at, ledger_index) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		digest.String(), content.Name, content.Version, author, document.String(), s.at.Unix(), out.LedgerIndex)
	return out, err
}

// newStudy reports whether the author registered the same study before, and refuses
// what contradicts another.
func (s step) newStudy(content study.Study, digest message.Digest, author identity.DID) (same bool, err error) {
	var known string
	var of identity.DID
	err = s.tx.QueryRow(s.ctx, `SELECT digest, author FROM study WHERE name = ? ORDER BY version = ? DESC LIMIT 1`, content.Name, content.Version).Scan(&known, &of)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
	case err != nil:
		return false, err
	case of != author:
		return false, ErrStudyName
	case known == digest.String():
		return true, nil
	}
	if other, err := s.exists(`SELECT 1 FROM study WHERE name = ? AND version = ?`, content.Name, content.Version); err != nil || other {
		return false, firstError(err, ErrStudyExists)
	}
	var n int
	if err := s.tx.QueryRow(s.ctx, `SELECT count(*) FROM study WHERE author = ?`, author).Scan(&n); err != nil {
		return false, err
	}
	if n >= maxStudies {
		return false, ErrStudies
	}
	return false, nil
}

// ofStudy refuses a request that names a study which is not registered, or which
// does not have this question.
func (s step) ofStudy(r query.Request) error {
	if r.Study == nil {
		return nil
	}
	known, err := studyOf(s.ctx, s.tx, selectStudy+`WHERE digest = ?`, r.Study.Study.String())
	if err != nil {
		return err
	}
	return known.Study.Check(r)
}

// noteStudy notes that a question was asked as one of a study.
func (s step) noteStudy(id query.ID, r query.Request) error {
	if r.Study == nil {
		return nil
	}
	_, err := s.tx.Exec(s.ctx, `INSERT INTO study_question (query, study, question) VALUES (?, ?, ?)`, id.String(), r.Study.Study.String(), r.Study.Question)
	return err
}
