package quality

// bounds are those of a variable in one unit: outside low to high a value is
// implausible, outside min to max impossible.
type bounds struct{ low, high, min, max float64 }

// variables are the bounds of standard measurement concepts by unit concept. A unit
// that is not listed is of another kind, or too rare to be listed for the variable.
var variables = map[int64]map[int64]bounds{}
