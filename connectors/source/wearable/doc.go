// Package wearable reads what the makers of wearables answer when they are asked for
// a person's data: Fitbit, Oura, Garmin Connect, Google Fit and Google Health,
// Withings, and data points of Open mHealth, which Shimmer makes of these and others.
//
// Such an answer does not say whose it is, and often not in which time zone. So
// answers come in a document that does:
//
//	{"wearable": "fitbit", "patient": "p-17", "timezone": "Europe/Berlin",
//	 "payloads": [{"activities-steps": [{"dateTime": "2026-03-01", "value": "9206"}]}]}
//
// The payloads are the maker's answers as they came, any number. [Header] has the
// members before them. Start from [Read], which yields an [observation.Series] for
// each variable of a payload; places are payloads, such as
// payloads[3].sleep[0].startTime.
//
// A value of an interval stands at its start, and the interval's length in seconds at
// the same time in a series of its own; see [SystemInterval]. DESIGN.md has what each
// maker's measure becomes and why.
package wearable
