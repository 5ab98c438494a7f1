package screen

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

//go:embed migrations
var migrations embed.FS

// maxRules bounds what one patient is compared with.
const maxRules = 100

var (
	// ErrUnknown says that there is no rule for a trial.
	ErrUnknown = errors.New("the site has no screening rule for that trial")

	errMany = fmt.Errorf("the site has %d screening rules, which is the most: remove one", maxRules)
)

// Rules are the site's screening rules. They are safe for concurrent use, also by
// several programs.
type Rules struct {
	db    *sqldb.DB
	trail *audit.Trail
}

// OpenRules brings the table up to date. trail is of db.
func OpenRules(ctx context.Context, db *sqldb.DB, trail *audit.Trail) (*Rules, error) {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, db, "screen", own); err != nil {
		return nil, fmt.Errorf("screen: %w", err)
	}
	return &Rules{db, trail}, nil
}

// Add keeps a rule in place of the one for its trial, if there is one. It counts for the
// next patient who is looked at.
func (s *Rules) Add(ctx context.Context, r Rule, now time.Time) error {
	if _, err := r.compile(); err != nil {
		return fmt.Errorf("screen: %w", err)
	}
	raw, err := canonical.Marshal(r)
	if err != nil {
		return fmt.Errorf("screen: %w", err)
	}
	return s.write(ctx, "add", r.Trial, now, func(tx *sqldb.Tx) error {
		var others int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM screen_rule WHERE trial <> ?`, r.Trial).Scan(&others); err != nil {
			return err
		}
		if others >= maxRules {
			return errMany
		}
		_, err := tx.Exec(ctx, `INSERT INTO screen_rule (trial, digest, rule, added_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (trial) DO UPDATE SET digest = excluded.digest, rule = excluded.rule, added_at = excluded.added_at`,
			r.Trial, message.Sum(raw).String(), raw, now.Unix())
		return err
	})
}

// Remove forgets the rule for a trial, or returns [ErrUnknown].
func (s *Rules) Remove(ctx context.Context, id trial.ID, now time.Time) error {
	return s.write(ctx, "remove", id, now, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM screen_rule WHERE trial = ?`, id)
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return err
	})
}

// write changes the rules and says so on the trail, both or neither.
func (s *Rules) write(ctx context.Context, act string, id trial.ID, now time.Time, change func(*sqldb.Tx) error) error {
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "screen"); err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		return s.trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ScreeningChanged, Subject: act + " " + string(id)})
	})
	if err != nil {
		return fmt.Errorf("screen: %s rule: %w", act, err)
	}
	return nil
}

// All returns the rules in the order of their trials.
func (s *Rules) All(ctx context.Context) ([]Rule, error) {
	var list []Rule
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		marks, err := s.marks(ctx, tx)
		if err != nil {
			return err
		}
		for _, m := range marks {
			r, err := s.rule(ctx, tx, m.trial)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	return list, err
}

// One returns the rule for a trial, or [ErrUnknown].
func (s *Rules) One(ctx context.Context, id trial.ID) (r Rule, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		r, err = s.rule(ctx, tx, id)
		return err
	})
	return r, err
}

func (s *Rules) rule(ctx context.Context, tx *sqldb.Tx, id trial.ID) (r Rule, err error) {
	var raw []byte
	err = tx.QueryRow(ctx, `SELECT rule FROM screen_rule WHERE trial = ?`, id).Scan(&raw)
	if errors.Is(err, sqldb.ErrNoRows) {
		return r, fmt.Errorf("screen: %w", ErrUnknown)
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, fmt.Errorf("screen: stored rule for %s: %w", id, err)
	}
	return r, nil
}

// mark says which rule a trial has.
type mark struct {
	trial  trial.ID
	digest string
}

func (s *Rules) marks(ctx context.Context, tx *sqldb.Tx) ([]mark, error) {
	rows, err := tx.Query(ctx, `SELECT trial, digest FROM screen_rule ORDER BY trial`)
	if err != nil {
		return nil, fmt.Errorf("screen: rules: %w", err)
	}
	defer rows.Close()
	var list []mark
	for rows.Next() {
		var m mark
		if err := rows.Scan(&m.trial, &m.digest); err != nil {
			return nil, fmt.Errorf("screen: rules: %w", err)
		}
		list = append(list, m)
	}
	return list, rows.Err()
}
