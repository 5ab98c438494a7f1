package quality

// Bounds are where values of a variable in one unit lie: from Low to High outside of
// emergencies, from Min to Max in any living person.
type Bounds struct{ Low, High, Min, Max float64 }

// BoundsOf returns the bounds of a variable in a unit, by their concepts. known is false
// for a variable without bounds in any unit; ok is false if it has none in this one,
// which then is of another kind.
func BoundsOf(concept, unit int64) (b Bounds, ok, known bool) {
	units, known := variables[concept]
	r, ok := units[unit]
	return Bounds{Low: r.low, High: r.high, Min: r.min, Max: r.max}, ok, known
}
