package quality

import "github.com/trialmesh/trialmesh/localstore/omop"

// value checks the number of a measurement against the variable that its concept is on
// its day. A unit that the variable does not list is of another kind.
func (k *check) value(m *omop.Measurement) {
	if m.Number == nil {
		return
	}
	kind, known := k.variables.At(m.ConceptID, m.Start)
	switch {
	case m.UnitSource == "" && known:
		k.found[NoUnit]++
		return
	case m.UnitSource != "" && m.UnitConceptID == 0:
		k.found[UnknownUnit]++
		return
	case !known:
		return
	}
	u, ok := kind.Unit(m.UnitConceptID)
	switch {
	case !ok:
		k.reject(&m.Record, WrongUnit)
	case *m.Number < u.Min || *m.Number > u.Max:
		k.reject(&m.Record, Impossible)
	case *m.Number < u.Low || *m.Number > u.High:
		k.flag(&m.Record, Implausible)
	}
}
