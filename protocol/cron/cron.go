// Package cron says when something falls due, in the five fields of a crontab.
//
// [Parse] reads a [Schedule], and [Schedule.Next] is all it does: it starts nothing and reads
// no clock. Who keeps a schedule decides what a time that was missed means.
package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is a set of minutes by the clocks of a zone. The zero value is empty: never.
type Schedule struct {
	minutes, hours, days, months, weekdays uint64 // bit n for value n
	either                                 bool   // a day that fits days or weekdays will do
	zone                                   *time.Location
}

// field is one of the five.
type field struct {
	name     string
	low      int
	high     int
	names    []string // of low and on
	modulo   int      // 7 for weekdays: Sunday is 0 and 7
	holds    *uint64
	anything *bool // set if the field begins with *
}

// Parse reads "minute hour day month weekday" for the clocks of zone. A field is *, a
// value, a range 1-5, any of them with a step /2, or a list of these; months and weekdays may
// be named jan or mon, and Sunday is 0 or 7. Where day and weekday are both given, either
// will do. A time that the clocks leave out does not come that day.
//
// Source: POSIX.1-2017, crontab; steps and names as in Vixie's cron.
func Parse(text string, zone *time.Location) (Schedule, error) {
	s := Schedule{zone: zone}
	parts := strings.Fields(text)
	if len(parts) != 5 {
		return Schedule{}, errors.New(`want five fields, minute hour day month weekday, such as "30 2 * * mon-fri"`)
	}
	var anyDay, anyWeekday, ignored bool
	for i, f := range []field{
		{"minute", 0, 59, nil, 60, &s.minutes, &ignored},
		{"hour", 0, 23, nil, 24, &s.hours, &ignored},
		{"day", 1, 31, nil, 32, &s.days, &anyDay},
		{"month", 1, 12, monthNames, 13, &s.months, &ignored},
		{"weekday", 0, 7, weekdayNames, 7, &s.weekdays, &anyWeekday},
	} {
		for _, item := range strings.Split(strings.ToLower(parts[i]), ",") {
			if err := f.add(item); err != nil {
				return Schedule{}, fmt.Errorf("%s: %q: %w", f.name, item, err)
			}
		}
		*f.anything = strings.HasPrefix(parts[i], "*")
	}
	s.either = !anyDay && !anyWeekday
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, errors.New("no such day exists")
	}
	return s, nil
}

var (
	monthNames   = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// add takes one item of a list.
func (f field) add(item string) error {
	span, step, stepped := strings.Cut(item, "/")
	every := 1
	if stepped {
		var err error
		if every, err = strconv.Atoi(step); err != nil || every < 1 || every > f.high {
			return fmt.Errorf("a step is a number from 1 to %d", f.high)
		}
	}
	low, high := f.low, f.high
	if f.modulo == 7 {
		high = 6 // of *: Sunday once
	}
	if span != "*" {
		from, to, ranged := strings.Cut(span, "-")
		var err error
		if low, err = f.value(from); err != nil {
			return err
		}
		switch {
		case ranged:
			if high, err = f.value(to); err != nil {
				return err
			}
		case !stepped:
			high = low
		}
		if high < low {
			return errors.New("the range ends before it begins")
		}
	}
	for v := low; v <= high; v += every {
		*f.holds |= 1 << (v % f.modulo)
	}
	return nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if text == name {
			return f.low + i, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < f.low || v > f.high || text[0] == '+' {
		return 0, fmt.Errorf("want a number from %d to %d", f.low, f.high)
	}
	return v, nil
}

// IsZero reports whether the schedule says never.
func (s Schedule) IsZero() bool { return s.minutes == 0 }

// horizon is how far a schedule looks ahead: February 29 is up to eight years away.
const horizon = 9 * 366 * 24 * time.Hour

// Next returns the first time after t that fits, zero if there is none within nine years.
func (s Schedule) Next(t time.Time) time.Time {
	if s.IsZero() {
		return time.Time{}
	}
	end := t.Add(horizon)
	for t = t.In(s.zone).Truncate(time.Minute).Add(time.Minute); t.Before(end); {
		year, month, day := t.Date()
		var later time.Time
		switch {
		case s.months&(1<<month) == 0:
			later = time.Date(year, month+1, 1, 0, 0, 0, 0, s.zone)
		case !s.onDay(t):
			later = time.Date(year, month, day+1, 0, 0, 0, 0, s.zone)
		case s.hours&(1<<t.Hour()) == 0:
			later = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case s.minutes&(1<<t.Minute()) == 0:
			later = t.Add(time.Minute)
		default:
			return t
		}
		if !later.After(t) { // a midnight that the clocks leave out
			later = t.Add(time.Hour)
		}
		t = later
	}
	return time.Time{}
}

func (s Schedule) onDay(t time.Time) bool {
	day, weekday := s.days&(1<<t.Day()) != 0, s.weekdays&(1<<t.Weekday()) != 0
	if s.either {
		return day || weekday
	}
	return day && weekday
}
