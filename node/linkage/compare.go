package linkage

// level is how well two records agree on one field.
type level uint8

// The levels. A model gives each its own weight.
const (
	differs level = iota
	similar       // about one letter in four differs
	near          // one typing error, or two in a long word
	equal
	missing // one of the records does not have the field: says nothing

	levels = missing
)

// Thresholds of [JaroWinkler] for near and similar.
const (
	nearSimilarity    = 0.92
	similarSimilarity = 0.80
)

// pattern is the levels of all fields, three bits each.
type pattern uint64

func (p pattern) level(f Field) level { return level(p >> (3 * f) & 7) }

func (p pattern) with(f Field, l level) pattern {
	return p&^(7<<(3*f)) | pattern(l)<<(3*f)
}

// compare returns how well two records agree. Names that stand in each other's
// place are near.
func compare(x, y *Record) pattern {
	var p pattern
	for f := range Field(fields) {
		p = p.with(f, compareField(f, x.values[f], y.values[f]))
	}
	if p.level(GivenName) < near && p.level(FamilyName) < near && // so neither is missing
		nameLevel(x.values[GivenName], y.values[FamilyName]) >= near && nameLevel(x.values[FamilyName], y.values[GivenName]) >= near {
		p = p.with(GivenName, near).with(FamilyName, near)
	}
	return p
}

func compareField(f Field, a, b string) level {
	switch {
	case a == "" || b == "":
		return missing
	case a == b:
		return equal
	}
	switch f {
	case Sex:
		return differs
	case BirthDate:
		if isOneSlip(a, b) || isDate(a) && isDate(b) && a[:4] == b[:4] && a[5:7] == b[8:] && a[8:] == b[5:7] {
			return near
		}
		return differs
	case HouseNumber, Postcode, NationalID, Phone:
		if isOneSlip(a, b) {
			return near
		}
		return differs
	}
	return nameLevel(a, b)
}

// nameLevel compares two words of letters.
func nameLevel(a, b string) level {
	switch s := JaroWinkler(a, b); {
	case s == 1:
		return equal
	case s >= nearSimilarity:
		return near
	case s >= similarSimilarity:
		return similar
	}
	return differs
}
