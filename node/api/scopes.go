package api

import (
	"strings"

	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/fhirapi"
)

// scope is what a route needs: a scope of the node's own, or one of the two below.
type scope string

const (
	// operator is the node's own token, which has every scope besides. A route that is
	// not in the table needs it too.
	operator scope = ""

	// anyone is any token: the route looks at its scopes itself.
	anyone scope = "any"
)

// scopes has what each route needs that takes a token, by method and path as the OpenAPI
// document writes them.
var scopes = map[string]scope{
	"POST " + filesPath:               scope(access.Ingest),
	"POST " + observationsPath:        scope(access.Ingest),
	"OPTIONS " + uploadsPath:          scope(access.Ingest),
	"GET " + uploadsPath:              scope(access.Ingest),
	"POST " + uploadsPath:             scope(access.Ingest),
	"GET " + uploadsPath + "/{id}":    scope(access.Ingest),
	"HEAD " + uploadsPath + "/{id}":   scope(access.Ingest),
	"POST " + uploadsPath + "/{id}":   scope(access.Ingest), // by X-HTTP-Method-Override
	"PATCH " + uploadsPath + "/{id}":  scope(access.Ingest),
	"DELETE " + uploadsPath + "/{id}": scope(access.Ingest),

	"GET /v1/ingest/jobs":              scope(access.JobsRead),
	"GET /v1/ingest/jobs/{id}":         scope(access.JobsRead),
	"GET /v1/ingest/jobs/{id}/report":  scope(access.JobsRead),
	"GET /v1/ingest/pulls":             scope(access.JobsRead),
	"GET /v1/ingest/pulls/{name}/runs": scope(access.JobsRead),

	"POST /v1/ingest/jobs/{id}/retry":     scope(access.JobsWrite),
	"POST /v1/ingest/jobs/{id}/cancel":    scope(access.JobsWrite),
	"POST /v1/ingest/remap":               scope(access.JobsWrite),
	"POST /v1/index/rebuild":              operator,
	"POST /v1/ingest/pulls/{name}/runs":   scope(access.JobsWrite),
	"POST /v1/ingest/pulls/{name}/cancel": scope(access.JobsWrite),

	"POST " + writebackPath:                  scope(access.Writeback),
	"GET " + writebackPath:                   scope(access.Writeback),
	"GET " + writebackPath + "/endpoints":    scope(access.Writeback),
	"GET " + writebackPath + "/{id}":         scope(access.Writeback),
	"POST " + writebackPath + "/{id}/retry":  scope(access.Writeback),
	"POST " + writebackPath + "/{id}/cancel": scope(access.Writeback),

	"GET /v1/wearables/connections":                  operator, // it names patients
	"POST /v1/wearables/connections/{id}/pull":       scope(access.JobsWrite),
	"POST /v1/wearables/authorizations":              operator,
	"POST /v1/wearables/connections":                 operator,
	"POST /v1/wearables/connections/{id}/disconnect": operator,

	"GET " + variablesPath:               scope(access.ReferenceRead),
	"GET " + variablesPath + "/versions": scope(access.ReferenceRead),
	"GET /v1/units":                      scope(access.ReferenceRead),
	"GET " + codesPath:                   scope(access.ReferenceRead),
	"GET " + codesPath + "/versions":     scope(access.ReferenceRead),
	"GET " + codesPath + "/unmapped":     scope(access.ReferenceRead),
	"GET " + codesPath + "/export":       scope(access.ReferenceRead),

	"POST " + variablesPath: scope(access.ReferenceWrite),
	"POST " + codesPath:     scope(access.ReferenceWrite),

	"GET " + datasetsPath:                operator, // its columns may tell what is studied
	"POST " + datasetsPath:               operator,
	"GET " + datasetsPath + "/{name}":    operator,
	"DELETE " + datasetsPath + "/{name}": operator,

	"GET /v1/quality":       scope(access.Quality),
	"POST /v1/quality/runs": scope(access.Quality),

	"POST /v1/redteam/runs":           operator, // it works on everybody's record
	"GET " + approvalsPath:            operator, // it shows the site's own numbers
	"GET " + approvalsPath + "/{id}":  operator,
	"POST " + approvalsPath + "/{id}": operator,

	"GET " + consentsPath:  scope(access.Consent),
	"POST " + consentsPath: scope(access.Consent),

	"GET " + enrollmentsPath:  scope(access.Consent),
	"POST " + enrollmentsPath: scope(access.Consent),

	"GET /v1/status": scope(access.Status),
	"GET /v1/series": scope(access.Status),
	"GET /metrics":   scope(access.Status),

	"GET /v1/audit": scope(access.Audit),

	"GET " + clientsPath:                 operator,
	"POST " + clientsPath:                operator,
	"DELETE " + clientsPath + "/{id}":    operator,
	"POST " + clientsPath + "/{id}/keys": operator,
}

// scopeOf is what a route needs; path is as the router or as the OpenAPI document has it.
func scopeOf(method, path string) scope {
	if path == fhirapi.Path || strings.HasPrefix(path, fhirapi.Path+"/") {
		return anyone
	}
	return scopes[method+" "+documented(path)]
}

// documented is a path of the router as the OpenAPI document writes it.
func documented(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, is := strings.CutPrefix(part, ":"); is {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
