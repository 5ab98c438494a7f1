package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
)

// individual is a row of the table person.
type individual struct {
	id                                        int64
	year                                      int32
	month, day                                int8
	gender, race, ethnicity                   int64
	genderSource, raceSource, ethnicitySource int64
}

// period is a row of the table observation_period.
type period struct {
	person     int64
	start, end events.Day
	id, kind   int64
}

// people reads the people: those of the table person and those with an observation period.
func (r *reader) people(ctx context.Context) (events.People, error) {
	var all []individual
	var bad failure
	names := []string{
		"person_id", "year_of_birth", "month_of_birth", "day_of_birth", "gender_concept_id", "race_concept_id", "ethnicity_concept_id",
		"gender_source_concept_id", "race_source_concept_id", "ethnicity_source_concept_id",
	}
	err := r.rows(ctx, "person", names, func(cells []string) error {
		value := func(i int) int64 { return bad.whole(cells, names, i) }
		one := individual{id: value(0), year: events.NoYear, gender: value(4), race: value(5), ethnicity: value(6), genderSource: value(7), raceSource: value(8), ethnicitySource: value(9)}
		if year := value(1); year != events.Null {
			one.year = int32(year) //nolint:gosec // a year
		}
		one.month, one.day = int8(max(value(2), 0)), int8(max(value(3), 0)) //nolint:gosec // of a date
		if one.id != events.Null {
			all = append(all, one)
		}
		return bad.err
	})
	if err != nil {
		return events.People{}, err
	}
	periods, err := r.periods(ctx)
	if err != nil {
		return events.People{}, err
	}
	byID := func(a, b individual) int { return cmp.Compare(a.id, b.id) }
	slices.SortStableFunc(all, byID)
	all = slices.CompactFunc(all, func(a, b individual) bool { return a.id == b.id })
	for i, p := range periods[:len(periods):len(periods)] {
		if i > 0 && periods[i-1].person == p.person {
			continue
		}
		one := individual{
			id: p.person, year: events.NoYear, gender: events.Null, race: events.Null, ethnicity: events.Null,
			genderSource: events.Null, raceSource: events.Null, ethnicitySource: events.Null,
		}
		if at, known := slices.BinarySearchFunc(all, one, byID); !known {
			all = slices.Insert(all, at, one)
		}
	}
	return columns(all, periods), nil
}

func (r *reader) periods(ctx context.Context) ([]period, error) {
	var all []period
	var bad failure
	names := []string{"person_id", "observation_period_start_date", "observation_period_end_date", "observation_period_id", "period_type_concept_id"}
	err := r.rows(ctx, "observation_period", names, func(cells []string) error {
		p := period{
			person: bad.whole(cells, names, 0), start: bad.day(cells, names, 1), end: bad.day(cells, names, 2),
			id: bad.whole(cells, names, 3), kind: bad.whole(cells, names, 4),
		}
		if p.person != events.Null && p.start != events.NoDay && p.end != events.NoDay {
			all = append(all, p)
		}
		return bad.err
	})
	slices.SortStableFunc(all, func(a, b period) int {
		return cmp.Or(cmp.Compare(a.person, b.person), cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id))
	})
	return all, err
}

// columns makes columns of rows, both in the order of people.
func columns(all []individual, periods []period) events.People {
	p := events.People{Periods: make([]int32, 1, len(all)+1)}
	for _, one := range all {
		p.ID, p.YearOfBirth = append(p.ID, one.id), append(p.YearOfBirth, one.year)
		p.BirthMonth, p.BirthDay = append(p.BirthMonth, one.month), append(p.BirthDay, one.day)
		p.Gender, p.Race, p.Ethnicity = append(p.Gender, one.gender), append(p.Race, one.race), append(p.Ethnicity, one.ethnicity)
		p.GenderSource, p.RaceSource = append(p.GenderSource, one.genderSource), append(p.RaceSource, one.raceSource)
		p.EthnicitySource = append(p.EthnicitySource, one.ethnicitySource)
		for n := len(p.PeriodID); n < len(periods) && periods[n].person == one.id; n++ {
			p.PeriodStart, p.PeriodEnd = append(p.PeriodStart, periods[n].start), append(p.PeriodEnd, periods[n].end)
			p.PeriodID, p.PeriodType = append(p.PeriodID, periods[n].id), append(p.PeriodType, periods[n].kind)
		}
		p.Periods = append(p.Periods, int32(len(p.PeriodID))) //nolint:gosec // fewer than the file has bytes
	}
	return p
}
