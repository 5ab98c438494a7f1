package ccda

import (
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// decimal reads a REAL. One with an exponent, which v3 allows and FHIR too, keeps it.
func decimal(s string) *fhir.Decimal {
	if d := hl7v2.ParseDecimal(s); d != nil {
		return d
	}
	if value, err := strconv.ParseFloat(s, 64); err == nil && value-value == 0 {
		return &fhir.Decimal{Text: s, Value: value}
	}
	return nil
}

// quantity reads a PQ. What has no unit of UCUM is sent as a translation with the unit's
// name in its text. It is nil if there is no number.
func quantity(e *element) *fhir.Quantity {
	if e == nil {
		return nil
	}
	unit := fhir.Quantity{Unit: e.attr("unit"), Code: e.attr("unit")}
	if unit.Code != "" {
		unit.System = ucum
	} else {
		unit.Unit = e.at("originalText").words()
	}
	// Some write a comparator in front of the number.
	if q := hl7v2.ParseQuantity(e.attr("value"), unit); q != nil {
		return q
	}
	if unit.Value = decimal(e.attr("value")); unit.Value != nil {
		return &unit
	}
	for t := range e.each("translation") {
		if value := decimal(t.attr("value")); value != nil {
			q := &fhir.Quantity{Value: value, Unit: t.at("originalText").words()}
			if code := t.attr("code"); code != "" {
				q.Code, q.System = code, systemOf(t.attr("codeSystem"))
				if q.Unit == "" {
					q.Unit = code
				}
			}
			return q
		}
	}
	return nil
}

// limits reads the ends of an IVL_PQ; either may be nil.
func limits(e *element) (low, high *fhir.Quantity) {
	return quantity(e.at("low")), quantity(e.at("high"))
}

// interval reads an IVL_PQ as a value: one with a single end is a number with a
// comparator.
func interval(e *element) (v fhir.Value) {
	low, high := limits(e)
	switch {
	case low != nil && high != nil:
		v.Range = &[2]*fhir.Quantity{low, high}
	case low != nil:
		low.Comparator = comparator(e.at("low"), ">")
		v.Quantity = low
	case high != nil:
		high.Comparator = comparator(e.at("high"), "<")
		v.Quantity = high
	default:
		v.Quantity = quantity(e) // an interval of one value
		if v.Quantity == nil {
			v.Quantity = quantity(e.at("center"))
		}
	}
	return v
}

// comparator is the sign of an end, which belongs to the interval unless it says not.
func comparator(end *element, sign string) string {
	if end.attr("inclusive") == "false" {
		return sign
	}
	return sign + "="
}
