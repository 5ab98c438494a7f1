package cron_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/cron"
)

func TestScheduleNext(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, c := range []struct {
		text, after, want string
		zone              *time.Location
	}{
		{"30 2 * * *", "2026-11-22T02:29:59Z", "2026-11-22T02:30:00Z", time.UTC},
		{"30 2 * * *", "2026-11-22T02:30:00Z", "2026-11-23T02:30:00Z", time.UTC},
		{"30 2 * * *", "2026-11-22T02:30:00Z", "2026-11-23T01:30:00Z", berlin},
		{"*/15 * * * *", "2026-11-22T23:46:10Z", "2026-11-23T00:00:00Z", time.UTC},
		{"5,35 8-10/2 * * *", "2026-11-22T08:35:00Z", "2026-11-22T10:05:00Z", time.UTC},
		{"0 12 * * MON-fri", "2026-11-20T12:00:00Z", "2026-11-23T12:00:00Z", time.UTC}, // from Friday to Monday
		{"0 0 * * 7", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z", time.UTC},
		{"0 0 * * 5-7", "2026-11-22T00:00:00Z", "2026-11-27T00:00:00Z", time.UTC},
		{"0 0 1 * mon", "2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z", time.UTC}, // the first, or a Monday
		{"0 0 1 * *", "2026-11-24T00:00:00Z", "2026-12-01T00:00:00Z", time.UTC},
		{"0 0 29 feb *", "2026-11-24T00:00:00Z", "2028-02-29T00:00:00Z", time.UTC},
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z", time.UTC}, // 2100 is no leap year
		{"30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z", berlin},   // the clocks leave 02:30 out on March 29
		{"0 3 29 mar *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", berlin},
		{"30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", berlin}, // and come to it twice on October 25
		{"30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", berlin},
	} {
		s, err := cron.Parse(c.text, c.zone)
		require.NoError(t, err, c.text)
		after, err := time.Parse(time.RFC3339, c.after)
		require.NoError(t, err)
		require.Equal(t, c.want, s.Next(after).UTC().Format(time.RFC3339), "%s after %s", c.text, c.after)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "five fields", "0 0 * *": "five fields", "@daily": "five fields", "60 * * * *": `minute: "60"`, "* 24 * * *": "hour", "* * 0 * *": "day",
		"* * * 13 *": "month", "* * * * 8": "weekday", "*/0 * * * *": "step", "*/x * * * *": "step", "9-5 * * * *": "before it begins", "1,,2 * * * *": `minute: ""`,
		"+1 * * * *": "minute", "-1 * * * *": "minute", "* * * foo *": "month", "0 0 31 2 *": "no such day", "1-2-3 * * * *": "minute",
	} {
		_, err := cron.Parse(text, time.UTC)
		require.ErrorContains(t, err, want, text)
	}
}

// TestScheduleIsEveryMinuteThatFits compares Next with a look at every minute, in zones whose
// clocks change by an hour, by half an hour, and at midnight.
func TestScheduleIsEveryMinuteThatFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"}).Draw(t, "zone"))
		require.NoError(t, err)
		pick := func(name string, low, high int) (map[int]bool, string) {
			if rapid.Bool().Draw(t, name+" is any") {
				return nil, "*"
			}
			values, texts := map[int]bool{}, []string{}
			for _, v := range rapid.SliceOfN(rapid.IntRange(low, high), 1, 4).Draw(t, name) {
				values[v] = true
				texts = append(texts, fmt.Sprint(v))
			}
			return values, strings.Join(texts, ",")
		}
		minutes, minuteText := pick("minutes", 0, 59)
		hours, hourText := pick("hours", 0, 23)
		days, dayText := pick("days", 1, 28)
		weekdays, weekdayText := pick("weekdays", 0, 6)
		text := strings.Join([]string{minuteText, hourText, dayText, "*", weekdayText}, " ")
		s, err := cron.Parse(text, zone)
		require.NoError(t, err)
		fits := func(at time.Time) bool {
			day := days == nil || days[at.Day()]
			if days != nil && weekdays != nil {
				day = days[at.Day()] || weekdays[int(at.Weekday())]
			} else if weekdays != nil {
				day = weekdays[int(at.Weekday())]
			}
			return day && (minutes == nil || minutes[at.Minute()]) && (hours == nil || hours[at.Hour()])
		}
		// The days around a change of the clocks, in some zone.
		after := time.Date(2026, time.Month(rapid.SampledFrom([]int{3, 4, 9, 10}).Draw(t, "month")), rapid.IntRange(1, 31).Draw(t, "day"), 0, rapid.IntRange(0, 1440).Draw(t, "minute"), 7, 0, time.UTC)
		next := s.Next(after)
		at := after.Truncate(time.Minute).Add(time.Minute)
		for range 4 * 1440 {
			if fits(at.In(zone)) {
				require.True(t, at.Equal(next), "%s in %s after %s: want %s, got %s", text, zone, after, at, next)
				return
			}
			at = at.Add(time.Minute)
		}
		require.False(t, next.Before(at), "%s: nothing fits before %s, got %s", text, at, next)
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"30 2 * * *", "*/15 8-18/2 1,15 jan-mar mon-fri", "0 0 31 2 *", "@daily"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := cron.Parse(text, time.UTC)
		if err == nil && !s.Next(time.Unix(0, 0)).After(time.Unix(0, 0)) {
			t.Errorf("%q is accepted and never comes", text)
		}
	})
}
