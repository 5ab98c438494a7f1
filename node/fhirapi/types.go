package fhirapi

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// storable are the types of resources of FHIR R4 but for Parameters, which are not stored.
var storable = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range fhir.TypesR4() {
		if name != "Parameters" {
			set[name] = true
		}
	}
	return set
}()

// Stores reports whether resources of a type can be stored.
func Stores(resourceType string) bool { return storable[resourceType] }
