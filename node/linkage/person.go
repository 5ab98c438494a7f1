package linkage

// personDomain separates what people are enrolled by from what linkages make tokens of.
const personDomain = "trialmesh/person/v1/"

// PersonValue returns what a person is told apart by when they enroll in a trial: an
// identifier of a system, in the normal form of recipe [ByID], or nil if it says nothing. As
// a record's values, it must not leave the site.
func PersonValue(system, identifier string) []byte {
	normal := Normalize(NationalID, identifier, NoOrder)
	if normal == "" {
		return nil
	}
	return []byte(personDomain + system + "\x00" + normal)
}
