package fhirapi

import (
	"math"
	"time"
)

// precisions are the forms of https://hl7.org/fhir/R4/datatypes.html#dateTime and how
// long what they name lasts.
var precisions = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006-01-02T15:04:05.999999999Z07:00", func(t time.Time) time.Time { return t.Add(time.Second) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05.999999999", func(t time.Time) time.Time { return t.Add(time.Second) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
}

// interval is what a date or dateTime names, from low up to but without high, in
// milliseconds since 1970 UTC. A second with a fraction is the millisecond. What has
// no offset is taken as UTC.
func interval(text string) (low, high int64, ok bool) {
	for _, p := range precisions {
		t, err := time.Parse(p.layout, text)
		if err != nil {
			continue
		}
		end := p.end(t)
		if t.Nanosecond() != 0 {
			end = t.Add(time.Millisecond)
		}
		return t.UnixMilli(), end.UnixMilli(), true
	}
	return 0, 0, false
}

// spanOf is the time of a date, dateTime, instant or Period. An end that is missing is
// open.
func spanOf(v any) (low, high int64, ok bool) {
	switch v := v.(type) {
	case string:
		return interval(v)
	case map[string]any:
		low, high = math.MinInt64, math.MaxInt64
		start, hasStart := v["start"].(string)
		end, hasEnd := v["end"].(string)
		startOK, endOK := !hasStart, !hasEnd
		if hasStart {
			low, _, startOK = interval(start)
		}
		if hasEnd {
			_, high, endOK = interval(end)
		}
		return low, high, startOK && endOK && (hasStart || hasEnd)
	}
	return 0, 0, false
}
