package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// covariates returns x, z above 0 and the factor g as fields, and a predictor.
func covariates(r *rand.Rand) (fields []string, predictor float64) {
	x, z, g := r.NormFloat64(), 0.1+2*r.Float64(), r.IntN(3)
	fields = []string{fmt.Sprintf("%.3f", x), fmt.Sprintf("%.4f", z), string("abc"[g])}
	if r.IntN(30) == 0 {
		fields[0] = ""
	}
	return fields, 0.5*x - 0.3*z + 0.4*float64(g)
}

// byRow draws a table of x, z, g, a factor s of two levels, a count w and a response. In some
// tables one person alone has a level of g.
func byRow(response func(r *rand.Rand, predictor float64) string) func(r *rand.Rand) [][]string {
	return func(r *rand.Rand) [][]string {
		table := [][]string{{"x", "z", "g", "s", "w", "y"}}
		rare := r.IntN(4) == 0
		for i := range 60 + r.IntN(140) {
			fields, predictor := covariates(r)
			if rare {
				fields[2] = loner(i)
			}
			table = append(table, append(fields, string("pqqq"[r.IntN(4)]), strconv.Itoa(r.IntN(4)), response(r, predictor)))
		}
		return table
	}
}

// loner is a level of g that is c for the fourth row alone.
func loner(row int) string {
	if row == 3 {
		return "c"
	}
	return string("ab"[row%2])
}

// separated draws a table in which y follows from x, but for those whose x is missing.
func separated(r *rand.Rand) [][]string {
	table := [][]string{{"x", "g", "y"}}
	for range 20 + r.IntN(60) {
		fields, _ := covariates(r)
		y := "1"
		if strings.HasPrefix(fields[0], "-") {
			y = "0"
		}
		table = append(table, []string{fields[0], fields[2], y})
	}
	return table
}

// trending draws a table of columns that rise together, as those of longley do, and of a
// response.
func trending(r *rand.Rand) [][]string {
	table := [][]string{{"a", "b", "c", "d", "y"}}
	apart := math.Pow(10, -1-2*r.Float64()) // of a column from the others, beside how it rises
	for i := range 16 + r.IntN(40) {
		year := float64(i)
		row := []string{strconv.Itoa(1947 + i)}
		for _, rise := range []float64{10, 3000, 0.5} {
			row = append(row, fmt.Sprintf("%.5f", 100*rise+rise*(year+40*apart*r.NormFloat64())))
		}
		table = append(table, append(row, fmt.Sprintf("%.3f", 60_000+900*year+300*r.NormFloat64())))
	}
	return table
}

// drawSets draws 20 to 60 sets of 1 to 6 rows.
func drawSets(response func(r *rand.Rand, predictor float64) string) func(r *rand.Rand) [][]string {
	return func(r *rand.Rand) [][]string {
		table := [][]string{{"set", "x", "z", "g", "y"}}
		for set := range 20 + r.IntN(40) {
			for range 1 + r.IntN(6) {
				fields, predictor := covariates(r)
				table = append(table, append(append([]string{strconv.Itoa(set)}, fields...), response(r, predictor-0.5)))
			}
		}
		return table
	}
}

// drawSpells draws a table of x, z, g, strata s, whole days start and stop, and event. Nobody
// of the stratum v has an event. In some tables all times are tied, in some one person alone
// has a level of g.
func drawSpells(r *rand.Rand) [][]string {
	table := [][]string{{"x", "z", "g", "s", "start", "stop", "event"}}
	tied, rare := r.IntN(4) == 0, r.IntN(4) == 0
	for i := range 60 + r.IntN(140) {
		fields, predictor := covariates(r)
		if rare {
			fields[2] = loner(i)
		}
		start := r.IntN(20)
		stop := start + 1 + int(min(r.ExpFloat64()*20*math.Exp(-predictor), 70))
		if tied {
			start, stop = 0, 10*(1+r.IntN(2))
		}
		stratum, event := string("tuv"[r.IntN(3)]), r.IntN(2)
		if stratum == "v" {
			event = 0
		}
		table = append(table, append(fields, stratum, strconv.Itoa(start), strconv.Itoa(stop), strconv.Itoa(event)))
	}
	return table
}

// siteNames are the levels of a column of sites.
var siteNames = strings.Split("abcdefghijklmnopqrst", "")

// drawSites draws 5 to 20 sites, of which some vary and some do not.
func drawSites(r *rand.Rand) [][]string {
	table := [][]string{{"x", "z", "g", "y", "site"}}
	spread := float64(r.IntN(3))
	for site := range 5 + r.IntN(maxDrawnSites-4) {
		intercept := spread * r.NormFloat64()
		for range 1 + r.IntN(20) {
			fields, predictor := covariates(r)
			table = append(table, append(fields, normal(r, predictor+intercept), siteNames[site]))
		}
	}
	return table
}

func chance(r *rand.Rand, predictor float64) string {
	if r.Float64() < 1/(1+math.Exp(-predictor)) {
		return "1"
	}
	return "0"
}

func normal(r *rand.Rand, predictor float64) string {
	return fmt.Sprintf("%.4f", predictor+r.NormFloat64())
}

// count draws of a Poisson distribution: the arrivals before time 1.
func count(r *rand.Rand, predictor float64) string {
	n := -1
	for time := 0.0; time < 1; n++ {
		time += r.ExpFloat64() / math.Exp(predictor)
	}
	return strconv.Itoa(n)
}

// overdispersed draws a count of a mean that varies.
func overdispersed(r *rand.Rand, predictor float64) string {
	return count(r, 1+predictor+math.Log(r.ExpFloat64()))
}

// births draws a table of the columns of birthwt, with smoke by chance of all but bwt.
func births(r *rand.Rand) [][]string {
	table := [][]string{{"low", "age", "lwt", "race", "smoke", "ht", "ui", "bwt"}}
	for range 120 + r.IntN(100) {
		age, lwt, race, ht, ui := 15+25*r.Float64(), 90+80*r.Float64(), 1+r.IntN(3), r.IntN(2), r.IntN(2)
		predictor := (30-age)/15 + (lwt-130)/60 + 0.3*float64(race-2) + 0.4*float64(ht-ui)
		smoke := chance(r, predictor)
		weight := 3000 - 100*predictor + 500*r.NormFloat64()
		table = append(table, []string{
			chance(r, -predictor), fmt.Sprintf("%.4f", age), fmt.Sprintf("%.4f", lwt), strconv.Itoa(race), smoke,
			strconv.Itoa(ht), strconv.Itoa(ui), fmt.Sprintf("%.1f", max(weight, 600)),
		})
	}
	return table
}

// treated draws a table of the columns of rotterdam, with hormon by chance of the others.
func treated(r *rand.Rand) [][]string {
	table := [][]string{{"days", "died", "hormon", "age", "meno", "size", "nodes"}}
	for range 150 + r.IntN(150) {
		age, meno, size, nodes := 30+50*r.Float64(), r.IntN(2), 1+r.IntN(3), r.IntN(12)
		predictor := (age-55)/30 + 0.3*float64(meno) + 0.1*float64(nodes-6)
		hormon := chance(r, predictor)
		days := 1 + int(min(r.ExpFloat64()*1500*math.Exp(-predictor/2), 6000))
		table = append(table, []string{
			strconv.Itoa(days), strconv.Itoa(r.IntN(2)), hormon, fmt.Sprintf("%.4f", age), strconv.Itoa(meno), strconv.Itoa(size), strconv.Itoa(nodes),
		})
	}
	return table
}

// trained draws a table of x, z, y by chance, and whether a row trains.
func trained(r *rand.Rand) [][]string {
	table := [][]string{{"x", "z", "y", "train"}}
	for range 150 + r.IntN(100) {
		fields, predictor := covariates(r)
		if fields[0] == "" {
			fields[0] = "0.5"
		}
		table = append(table, []string{fields[0], fields[1], chance(r, predictor), strconv.Itoa(r.IntN(2))})
	}
	return table
}

// ledSites draws a table of the columns of lung at three sites, of which a leads.
func ledSites(r *rand.Rand) [][]string {
	table := [][]string{{"died", "age", "sex", "site"}}
	for _, site := range siteNames[:3] {
		for range 50 + r.IntN(60) {
			age, sex := 35+60*r.Float64(), 1+r.IntN(2)
			table = append(table, []string{chance(r, (age-60)/20-0.5*float64(sex-1)), fmt.Sprintf("%.2f", age), strconv.Itoa(sex), site})
		}
	}
	return table
}

// spellSites draws a table of days under watch, deaths, age and sex at three sites.
func spellSites(r *rand.Rand) [][]string {
	table := [][]string{{"time", "died", "age", "sex", "site"}}
	for _, site := range siteNames[:3] {
		for range 50 + r.IntN(60) {
			age, sex := 35+60*r.Float64(), 1+r.IntN(2)
			days := 1 + int(min(r.ExpFloat64()*100*math.Exp((60-age)/40+0.4*float64(sex-1)), 1000))
			table = append(table, []string{strconv.Itoa(days), strconv.Itoa(r.IntN(3) / 2), fmt.Sprintf("%.2f", age), strconv.Itoa(sex), site})
		}
	}
	return table
}

// several draws a count above 0: with the identity link a level of zeros has no mean that is
// valid, and R goes on from a rounding error or stops.
func several(r *rand.Rand, predictor float64) string { return "1" + count(r, predictor) }
