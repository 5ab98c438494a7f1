package main

import (
	"context"
	"math"
	"time"

	"github.com/tidwall/gjson"

	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// This file computes from the raw FHIR files of all hospitals together what the
// network computes without pooling them. Nothing but the demonstration may do
// that. It shares no code with the nodes: it reads JSON paths and counts.

// Codes of the two questions.
const (
	snomedSinusitis = "444814009" // viral sinusitis
	loincSystolic   = "8480-6"    // systolic blood pressure
)

// truth is what the pooled raw data give for consenting patients.
type truth struct {
	byAge map[string]int       // everyone seen, by age at the first visit
	bySex map[string][]float64 // last systolic pressure of those who had viral sinusitis, by sex
}

// poolRaw reads every bundle and keeps the patients in consented.
func poolRaw(ctx context.Context, consented map[string]bool) (truth, error) {
	t := truth{byAge: map[string]int{}, bySex: map[string][]float64{}}
	for _, h := range testdata.Hospitals() {
		for f, err := range h.Files(ctx) {
			if err != nil {
				return t, err
			}
			if !f.Infrastructure() {
				t.add(f.Data, consented)
			}
		}
	}
	return t, nil
}

func (t truth) add(bundle []byte, consented map[string]bool) {
	var id, sex, birth, firstVisit, lastTime string
	var last float64
	sinusitis := false
	gjson.GetBytes(bundle, "entry").ForEach(func(_, entry gjson.Result) bool {
		r := entry.Get("resource")
		switch r.Get("resourceType").String() {
		case "Patient":
			id, sex, birth = r.Get("id").String(), r.Get("gender").String(), r.Get("birthDate").String()
		case "Encounter":
			if start := r.Get("period.start").String(); start != "" && (firstVisit == "" || later(firstVisit, start)) {
				firstVisit = start
			}
		case "Condition":
			sinusitis = sinusitis || r.Get("code.coding.0.code").String() == snomedSinusitis
		case "Observation":
			at := r.Get("effectiveDateTime").String()
			r.Get("component").ForEach(func(_, c gjson.Result) bool {
				v := c.Get("valueQuantity.value").Float()
				if c.Get("code.coding.0.code").String() == loincSystolic && later(at, lastTime) && v >= systolicLow && v <= systolicHigh {
					last, lastTime = v, at
				}
				return true
			})
		}
		return true
	})
	if !consented[id] {
		return
	}
	if firstVisit != "" {
		t.byAge[ageGroup(birth, firstVisit)]++
	}
	if sinusitis && lastTime != "" {
		t.bySex[sex] = append(t.bySex[sex], last)
	}
}

// later compares two FHIR times.
func later(a, b string) bool {
	if b == "" {
		return true
	}
	x, errX := time.Parse(time.RFC3339, a)
	y, errY := time.Parse(time.RFC3339, b)
	return errX == nil && errY == nil && !x.Before(y)
}

func ageGroup(birth, at string) string {
	born, err := time.Parse(time.DateOnly, birth)
	day, err2 := time.Parse(time.DateOnly, at[:len(time.DateOnly)])
	if err != nil || err2 != nil {
		return "unknown"
	}
	age := day.Year() - born.Year()
	if day.Before(born.AddDate(age, 0, 0)) {
		age--
	}
	switch {
	case age < 18:
		return "0-17"
	case age < 40:
		return "18-39"
	case age < 65:
		return "40-64"
	}
	return "65+"
}

// meanSD returns mean and standard deviation (n-1) of values.
func meanSD(values []float64) (mean, sd float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sd += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sd / float64(len(values)-1))
}
