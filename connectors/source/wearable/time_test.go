package wearable_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// clockOf is a document with one weighing at a clock's time, and its zone.
func clockOf(zone, date, clock string) string {
	return document("fitbit", zone, fmt.Sprintf(`{"weight":[{"weight":70,"date":%q,"time":%q}]}`, date, clock))
}

func TestClocksThatAreSetForwardAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, date, clock, want string }{
		{"Europe/Berlin", "2026-03-29", "01:59:59", "2026-03-29T00:59:59Z"},
		{"Europe/Berlin", "2026-03-29", "02:30:00", ""},                     // no clock showed it
		{"Europe/Berlin", "2026-10-25", "02:30:00", "2026-10-25T00:30:00Z"}, // twice: the first
		{"Europe/Berlin", "2026-10-25", "03:00:00", "2026-10-25T02:00:00Z"},
		{"Australia/Lord_Howe", "2026-04-05", "01:45:00", "2026-04-04T14:45:00Z"}, // half an hour back
		{"UTC", "2026-02-29", "01:00:00", ""},
		{"UTC", "2026-02-28", "24:00:00", ""},
		{"UTC", "2026-02-28", "09:15", "2026-02-28T09:15:00Z"},
	} {
		list, problems := facts(t, clockOf(c.zone, c.date, c.clock))
		if c.want == "" {
			require.Empty(t, list, c)
			require.Equal(t, []string{"invalid-time payloads[0].weight[0].time"}, problems, c)
			continue
		}
		require.Equal(t, []string{"29463-7 70 kg at " + c.want}, list, c)
	}
	// Where midnight is skipped, the day begins an hour later and is shorter.
	list, problems := facts(t, document("fitbit", "Africa/Cairo", `{"activities-steps":[{"dateTime":"2026-04-24","value":"5"}]}`))
	require.Empty(t, problems)
	require.Equal(t, []string{"41950-7 5 {steps}/(24.h) at 2026-04-23T22:00:00Z for 82800 s"}, list)
}

// TestWhatAClockShowsIsRead states the law for any moment in any zone: what is read
// is the first moment at which that zone's clocks show the same.
func TestWhatAClockShowsIsRead(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "UTC"}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(rt, "zone")
		zone, err := time.LoadLocation(name)
		require.NoError(rt, err)
		at := time.Unix(rapid.Int64Range(0, 2_000_000_000).Draw(rt, "seconds"), 0).In(zone)
		all, problems := read(t, strings.NewReader(clockOf(name, at.Format(time.DateOnly), at.Format(time.TimeOnly))), fhir.Options{})
		require.Empty(rt, problems)
		got := time.UnixMilli(all[0].Times[0]).In(zone)
		require.Equal(rt, at.Format(time.DateTime), got.Format(time.DateTime))
		require.False(rt, got.After(at), "%v, not %v", at, got)
	})
}
