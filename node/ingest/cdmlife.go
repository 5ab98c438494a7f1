package ingest

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/quality"
)

// maxLives bounds the persons whose births an attempt remembers, some 60 MB. Periods
// and deaths of further ones are not compared with their births.
const maxLives = 1_000_000

// learn tells the quality checks about the lives of the persons of the batch, who
// came in another file, and checks what these do not: periods and deaths.
func (l *load) learn(ctx context.Context) error {
	births := l.imported.births
	fresh := map[omop.Key]bool{}
	for key := range personsOf(&l.batch) {
		if _, ok := births[key]; !ok && len(births) < maxLives {
			births[key], fresh[key] = unborn, true
		}
	}
	if len(fresh) > 0 {
		if err := l.recallLives(ctx, fresh); err != nil {
			return err
		}
	}
	for _, p := range l.batch.Stated {
		if birth, known := births[p.Person]; known && p.Start < birth {
			l.find(string(quality.BeforeBirth), "observation_period_start_date", l.line(p.Pointer), 1)
		}
		if p.End < p.Start {
			l.find(string(quality.EndBeforeStart), "observation_period_end_date", l.line(p.Pointer), 1)
		}
	}
	for _, d := range l.batch.Deaths {
		if birth, known := births[d.Person]; known && d.Date < birth {
			l.find(string(quality.BeforeBirth), "death_date", l.line(d.Pointer), 1)
		}
	}
	return nil
}

// unborn is before every date of the store.
const unborn = omop.Date(-1 << 31)

func (l *load) recallLives(ctx context.Context, persons map[omop.Key]bool) error {
	keys := make([]omop.Key, 0, len(persons))
	for k := range persons {
		keys = append(keys, k)
	}
	var lives omop.Batch
	err := l.s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		found, err := l.s.cfg.Store.PersonsByKey(ctx, tx, keys)
		for k, d := range found {
			l.imported.births[k] = d.Birth()
			lives.Persons = append(lives.Persons, omop.Person{Key: k, YearOfBirth: d.YearOfBirth, MonthOfBirth: d.MonthOfBirth, DayOfBirth: d.DayOfBirth})
			if d.Death != nil {
				lives.Deaths = append(lives.Deaths, omop.Death{Person: k, Date: *d.Death})
			}
		}
		return err
	})
	l.checker.Learn(&lives)
	return err
}
