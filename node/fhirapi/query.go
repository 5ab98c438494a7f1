package fhirapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
)

// Limits of a search.
const (
	defaultCount = 50
	maxCount     = 500
	maxValues    = 500 // of all parameters together
)

// search is a search that was understood.
type search struct {
	query      fhirstore.Query
	count      int
	only       bool // the number of matches, without them
	total      string
	provenance bool       // _revinclude=Provenance:target
	used       url.Values // what of the request counts
	ignored    int        // parameters
	cursor     string
	ranks      []int // of query.Terms
}

var (
	errParameter = refuse(http.StatusBadRequest, "not-supported", "a search parameter or a modifier of it is not supported; Prefer: handling=lenient leaves it out")
	errValue     = refuse(http.StatusBadRequest, "value", "the value of a search parameter is not of its type")
	errValues    = refuse(http.StatusBadRequest, "too-costly", "a search has up to 500 values")
	errCount     = refuse(http.StatusBadRequest, "value", "_count must be a number from 0 on")
	errSort      = refuse(http.StatusBadRequest, "not-supported", "_sort takes one date parameter of the type or _lastUpdated, with a minus for descending")
)

// parseSearch reads a search of one type. What is unknown is an error unless lenient.
func parseSearch(resourceType string, values url.Values, lenient bool) (*search, error) {
	q := &search{count: defaultCount, used: url.Values{}, total: "bounded"}
	if resourceType != "" {
		q.query.Types = []string{resourceType}
	}
	n := 0
	for _, key := range sortedKeys(values) {
		for _, value := range values[key] {
			if n += 1 + strings.Count(value, ","); n > maxValues {
				return nil, errValues
			}
			known, err := q.parameter(resourceType, key, value)
			switch {
			case err != nil:
				return nil, err
			case known:
				q.used.Add(key, value)
			case lenient:
				q.ignored++
			default:
				return nil, errParameter
			}
		}
	}
	q.query.Terms = byRank(q.query.Terms, q.ranks)
	return q, nil
}

func sortedKeys(values url.Values) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// byRank puts the terms first that fewer resources have.
func byRank(terms [][]fhirstore.Term, ranks []int) [][]fhirstore.Term {
	order := make([]int, len(terms))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ranks[a], ranks[b]) })
	sorted := make([][]fhirstore.Term, len(terms))
	for i, at := range order {
		sorted[i] = terms[at]
	}
	return sorted
}

// parameter takes one parameter in and reports whether it is known.
func (q *search) parameter(resourceType, key, value string) (bool, error) {
	if known, err := q.control(resourceType, key, value); known || err != nil {
		return known, err
	}
	name, modifier, _ := strings.Cut(key, ":")
	p, ok := find(resourceType, name)
	if !ok {
		return false, nil
	}
	if p.kind == kindDate {
		if modifier != "" {
			return false, nil
		}
		times, err := timesOf(value)
		q.query.Times = append(q.query.Times, fhirstore.TimesOf{Param: spanName(resourceType, name), AnyOf: times})
		return true, err
	}
	var anyOf []fhirstore.Term
	for _, one := range split(value, ',') {
		text, ok, err := p.search(modifier, one)
		if err != nil || !ok {
			return false, err
		}
		anyOf = append(anyOf, fhirstore.Term{Type: resourceType, Param: name, Value: text})
	}
	q.query.Terms, q.ranks = append(q.query.Terms, anyOf), append(q.ranks, p.rank())
	return true, nil
}

// control takes in what any search may have.
func (q *search) control(resourceType, key, value string) (bool, error) {
	switch key {
	case "_id":
		for _, id := range split(value, ',') {
			if !idForm.MatchString(id) {
				return false, errValue
			}
			q.query.IDs = append(q.query.IDs, id)
		}
	case fhirstore.Updated:
		times, err := timesOf(value)
		q.query.Since = append(q.query.Since, times)
		return true, err
	case "_count":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return false, errCount
		}
		q.count, q.only = min(n, maxCount), q.only || n == 0
	case "_sort":
		return true, q.sortBy(resourceType, value)
	case "_total":
		q.total = value
		return value == "none" || value == "estimate" || value == "accurate", nil
	case "_summary":
		q.only = q.only || value == "count"
		return value == "count" || value == "false", nil
	case "_revinclude":
		q.provenance = value == "Provenance:target"
		return q.provenance, nil
	case "_cursor":
		q.cursor = value
	case "_format", "_pretty":
	default:
		return false, nil
	}
	return true, nil
}

func (q *search) sortBy(resourceType, value string) error {
	name, descending := strings.CutPrefix(value, "-")
	q.query.Descending = descending
	if name == fhirstore.Updated {
		q.query.Sort = name
		return nil
	}
	if p, ok := find(resourceType, name); !ok || p.kind != kindDate {
		return errSort
	}
	q.query.Sort = spanName(resourceType, name)
	return nil
}

// rank orders parameters by how few resources a value of theirs has.
func (p param) rank() int {
	switch {
	case p.name == "identifier":
		return 0
	case p.kind == kindReference:
		return 1
	case p.kind == kindString:
		return 2
	}
	return 3
}

// search is the text by which a value is found, see [param.values]; ok is false for a
// modifier that is not known.
func (p param) search(modifier, value string) (text string, ok bool, err error) {
	if value == "" {
		return "", false, errValue
	}
	switch {
	case p.kind == kindReference:
		return p.searchReference(modifier, unescape(value))
	case p.kind == kindString && modifier == "exact":
		return exactString(unescape(value)), true, nil
	case modifier != "":
		return "", false, nil
	case p.kind == kindString:
		folded := fold(unescape(value))
		if n := len([]rune(folded)); n == 0 || n > maxPrefix {
			return "", false, errValue
		}
		return startString(folded), true, nil
	}
	parts := split(value, '|')
	switch {
	case len(parts) == 1:
		return bareToken(unescape(value)), true, nil
	case len(parts) > 2:
		return "", false, errValue
	case parts[1] == "":
		return systemToken(unescape(parts[0])), true, nil
	}
	return fullToken(unescape(parts[0]), unescape(parts[1])), true, nil
}

func (p param) searchReference(modifier, value string) (string, bool, error) {
	switch {
	case modifier != "" && (!storable[modifier] || p.target != "" && p.target != modifier):
		return "", false, nil
	case modifier != "" && idForm.MatchString(value):
		return "to " + modifier + "/" + value, true, nil
	case modifier != "":
		return "", false, errValue
	case idForm.MatchString(value):
		return "id " + value, true, nil
	case localForm.MatchString(value), remoteForm.MatchString(value):
		return "to " + value, true, nil
	}
	return "", false, errValue
}

// split cuts a value at a separator that no backslash stands before.
func split(value string, at byte) []string {
	var parts []string
	begin := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case at:
			parts = append(parts, value[begin:i])
			begin = i + 1
		}
	}
	return append(parts, value[begin:])
}

func unescape(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// nearly is how much wider a time is searched that is approximate: a day, or a tenth
// of the span if that is more.
func nearly(low, high int64) int64 { return max((24 * time.Hour).Milliseconds(), (high-low)/10) }

// timesOf reads the values of a date parameter.
func timesOf(value string) ([]fhirstore.Time, error) {
	var times []fhirstore.Time
	for _, one := range split(value, ',') {
		t := fhirstore.Time{Relation: fhirstore.Within}
		if len(one) > 2 && one[0] >= 'a' && one[0] <= 'z' {
			t.Relation, one = fhirstore.Relation(one[:2]), one[2:]
		}
		var ok bool
		// A blank is what a plus in an address that was not encoded becomes.
		if t.Low, t.High, ok = interval(strings.ReplaceAll(one, " ", "+")); !ok || !t.Relation.Known() {
			return nil, errValue
		}
		if t.Relation == fhirstore.Overlaps {
			by := nearly(t.Low, t.High)
			t.Low, t.High = t.Low-by, t.High+by
		}
		times = append(times, t)
	}
	return times, nil
}
