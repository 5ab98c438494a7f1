package fhirapi

import (
	"maps"
	"net/http"
	"slices"
)

// metadata answers with the CapabilityStatement, made from what is really served.
func (s *server) metadata(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, capability(base(r)))
	return nil
}

// stated is when what the statement says has last changed.
const stated = "2026-11-22"

func capability(at string) map[string]any {
	type object = map[string]any
	codes := func(names ...string) (list []object) {
		for _, name := range names {
			list = append(list, object{"code": name})
		}
		return list
	}
	var resources []object
	for _, name := range slices.Sorted(maps.Keys(storable)) {
		params := []object{{"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"}}
		for _, p := range searches[name] {
			params = append(params, object{"name": p.name, "type": string(p.kind)})
		}
		does := codes("read", "vread", "create", "update", "delete", "search-type")
		one := object{
			"type": name, "interaction": does, "versioning": "versioned-update", "readHistory": true, "updateCreate": true,
			"conditionalCreate": true, "conditionalRead": "not-match", "conditionalUpdate": false, "conditionalDelete": "not-supported",
			"referencePolicy": []string{"literal", "logical", "local"}, "searchParam": params, "searchRevInclude": []string{"Provenance:target"},
		}
		if name == "Patient" {
			one["interaction"] = codes("read", "vread", "create", "update", "search-type")
			one["operation"] = []object{{"name": "everything", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}}
		}
		resources = append(resources, one)
	}
	return object{
		"resourceType": "CapabilityStatement", "status": "active", "date": stated, "kind": "instance", "fhirVersion": "4.0.1",
		"format": []string{mediaType, "json"}, "software": object{"name": "Trialmesh"},
		"implementation": object{"description": "A site's node: what is pushed is kept, loaded as OMOP rows and given back", "url": at},
		"rest": []object{{
			"mode": "server",
			"security": object{
				"service":     []object{{"coding": []object{{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}}}},
				"description": "SMART Backend Services, by .well-known/smart-configuration, or the node's own bearer token",
			},
			"resource":    resources,
			"interaction": codes("transaction", "batch"),
		}},
	}
}
