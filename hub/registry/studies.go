package registry

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

// Study is a version of a saved study as the hub knows it.
type Study struct {
	study.Study
	Digest      message.Digest
	Envelope    message.Envelope
	Registered  time.Time
	LedgerIndex int64
}

// StudyQuestion is a question that was asked as one of a study.
type StudyQuestion struct {
	Name       string // in the study
	ID         query.ID
	Researcher identity.DID
	State      query.State
}

const selectStudy = `SELECT digest, document, registered_at, ledger_index FROM study `

// Study returns a version of a study, the newest for an empty one, or [ErrStudyUnknown].
func (r *Reader) Study(ctx context.Context, name, version string) (Study, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (Study, error) {
		var s Study
		var err error
		if version == "" {
			s, err = studyOf(ctx, tx, selectStudy+`WHERE name = ? ORDER BY ledger_index DESC LIMIT 1`, name)
		} else {
			s, err = studyOf(ctx, tx, selectStudy+`WHERE name = ? AND version = ?`, name, version)
		}
		if !errors.Is(err, ErrStudyUnknown) {
			return s, err
		}
		if known, err := texts(ctx, tx, `SELECT name FROM study WHERE name = ? LIMIT 1`, name); err != nil {
			return s, err
		} else if len(known) > 0 {
			return s, unknown(ctx, tx, ErrStudyUnknown, version, "versions of "+name, `SELECT version FROM study WHERE name = ? ORDER BY ledger_index DESC LIMIT 1000`, name)
		}
		return s, unknown(ctx, tx, ErrStudyUnknown, name, "studies", `SELECT DISTINCT name FROM study ORDER BY name LIMIT 1000`)
	})
}

// StudyOf returns the study with a digest, as a question names it, or [ErrStudyUnknown].
func (r *Reader) StudyOf(ctx context.Context, digest message.Digest) (Study, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) (Study, error) {
		return studyOf(ctx, tx, selectStudy+`WHERE digest = ?`, digest.String())
	})
}

// Studies returns up to limit versions of studies, newest first.
func (r *Reader) Studies(ctx context.Context, limit int) ([]Study, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]Study, error) {
		digests, err := texts(ctx, tx, `SELECT digest FROM study ORDER BY ledger_index DESC LIMIT ?`, limit)
		if err != nil {
			return nil, err
		}
		list := make([]Study, 0, len(digests))
		for _, digest := range digests {
			s, err := studyOf(ctx, tx, selectStudy+`WHERE digest = ?`, digest)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	})
}

// StudyQuestions returns up to limit of the questions that were asked as a study's,
// newest first.
func (r *Reader) StudyQuestions(ctx context.Context, digest message.Digest, limit int) ([]StudyQuestion, error) {
	return read(ctx, r.db, func(tx *sqldb.Tx) ([]StudyQuestion, error) {
		return collect(ctx, tx, func(rows *sqldb.Rows) (StudyQuestion, error) {
			var q StudyQuestion
			var id string
			if err := rows.Scan(&q.Name, &id, &q.Researcher, &q.State); err != nil {
				return q, err
			}
			return q, q.ID.UnmarshalText([]byte(id))
		}, `SELECT s.question, q.id, q.researcher, q.state FROM study_question s JOIN question q ON q.id = s.query
			WHERE s.study = ? ORDER BY q.ledger_index DESC LIMIT ?`, digest.String(), limit)
	})
}

// studyOf returns the study that a statement selects.
func studyOf(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) (Study, error) {
	var s Study
	var digest, document string
	var at int64
	err := tx.QueryRow(ctx, sql, args...).Scan(&digest, &document, &at, &s.LedgerIndex)
	if errors.Is(err, sqldb.ErrNoRows) {
		return s, ErrStudyUnknown
	}
	if err != nil {
		return s, err
	}
	s.Registered = time.Unix(at, 0).UTC()
	if err := s.Digest.UnmarshalText([]byte(digest)); err != nil {
		return s, err
	}
	if s.Envelope, err = documentAs[message.Envelope](ctx, tx, document); err != nil {
		return s, err
	}
	s.Study, err = message.Stored[study.Study](s.Envelope, study.KindStudy)
	return s, err
}
