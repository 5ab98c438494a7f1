package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// wrapper is what the act or organizer around statements says for all of them. It is read
// once: there may be as many statements in it as elements beside them.
type wrapper struct {
	private

	status     string    // statusCode
	authored   fhir.Time // when it was first written down
	start, end fhir.Time
	untimely   bool // its time is none
}

func wrapping(e *element) wrapper {
	start, end, ok := spanOf(e.at("effectiveTime"))
	return wrapper{status: e.at("statusCode").attr("code"), authored: authored(e), start: start, end: end, untimely: !ok}
}
