package api

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/jwks"
)

// Where clients get tokens and learn how.
const (
	TokenPath  = "/v1/oauth/token"                         //nolint:gosec // a path
	serverPath = "/.well-known/oauth-authorization-server" // RFC 8414
	smartPath  = "/.well-known/smart-configuration"        // below the FHIR API
)

// The security schemes of the OpenAPI document.
const (
	bearer = "bearer"
	oauth2 = "oauth2"
)

// maxForm bounds a request for a token, in bytes.
const maxForm = 32 << 10

// AccessToken is the answer to a request for a token, RFC 6749 section 5.1.
type AccessToken struct {
	Token   string `json:"access_token"`
	Type    string `json:"token_type" enum:"Bearer"`
	Expires int64  `json:"expires_in" doc:"Seconds"`
	Scope   string `json:"scope" doc:"What was granted, which may be less than what was asked for"`
}

// TokenError is why there is none, RFC 6749 section 5.2.
type TokenError struct {
	Code        access.Code `json:"error" enum:"invalid_request,invalid_client,unsupported_grant_type,invalid_scope,temporarily_unavailable"`
	Description string      `json:"error_description"`
}

// Discovery is where and how tokens are given.
//
// Source: HL7 SMART App Launch 2.2, "Conformance", as far as it is about backend services,
// and RFC 8414 section 2.
type Discovery struct {
	Issuer        string   `json:"issuer,omitempty"`
	TokenEndpoint string   `json:"token_endpoint"`
	Grants        []string `json:"grant_types_supported" nullable:"false"`
	Methods       []string `json:"token_endpoint_auth_methods_supported" nullable:"false"`
	Algorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported" nullable:"false"`
	Scopes        []string `json:"scopes_supported" nullable:"false"`
	Responses     []string `json:"response_types_supported" nullable:"false" doc:"None: there is no authorization endpoint"`
	Capabilities  []string `json:"capabilities,omitempty" doc:"Of SMART"`
}

// wholeScopes are those of the FHIR API that are told; any type of FHIR R4 and any of
// the letters in their order will do.
var wholeScopes = []string{"system/*.cruds", "system/*.rs"}

func (s *server) discovery() Discovery {
	var algorithms []string
	for _, a := range jwks.Algorithms() {
		algorithms = append(algorithms, string(a))
	}
	list := append([]string{}, wholeScopes...)
	for _, own := range access.Owns() {
		list = append(list, string(own.Scope))
	}
	return Discovery{
		TokenEndpoint: s.cfg.Access.TokenURL(), Grants: []string{access.GrantType}, Methods: []string{"private_key_jwt"},
		Algorithms: algorithms, Scopes: list, Responses: []string{},
	}
}

func (s *server) routeAccess() {
	s.router.POST(TokenPath, s.giveToken)
	s.router.GET(serverPath, func(c *gin.Context) {
		d := s.discovery()
		d.Issuer = strings.TrimSuffix(d.TokenEndpoint, TokenPath)
		c.JSON(http.StatusOK, d)
	})
	s.documentAccess()
	s.routeClients()
}

// smart answers with SMART's discovery document.
func (s *server) smart(c *gin.Context) {
	d := s.discovery()
	d.Capabilities = []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"}
	c.JSON(http.StatusOK, d)
}

// giveToken is the token endpoint.
//
// Source: RFC 6749 section 4.4, with clients that authenticate as RFC 7523 has it.
func (s *server) giveToken(c *gin.Context) {
	c.Header("Pragma", "no-cache")
	asked, err := tokenRequest(c.Writer, c.Request)
	var given access.Grant
	if err == nil {
		given, err = s.cfg.Access.Issue(c.Request.Context(), asked, s.cfg.Now())
	}
	refused, isRefusal := errors.AsType[*access.Refusal](err)
	switch {
	case isRefusal:
		status := http.StatusBadRequest
		if refused.Code == access.Busy {
			status = http.StatusTooManyRequests
			c.Header("Retry-After", "10")
		}
		s.cfg.Logger.WarnContext(c.Request.Context(), "no token given", "error", refused.Code, "why", refused.Description)
		c.JSON(status, TokenError{refused.Code, refused.Description})
	case err != nil:
		front.WriteProblem(c.Writer, front.Blame(c.Request.Context(), s.cfg.Logger, c.FullPath(), retry(err)))
	default:
		s.cfg.Logger.InfoContext(c.Request.Context(), "token given", "client", given.Client, "scope", given.Scope)
		c.JSON(http.StatusOK, AccessToken{given.Token.Reveal(), "Bearer", int64(given.Expires.Seconds()), given.Scope})
	}
}

// tokenRequest reads the form of a request. Each parameter comes once, RFC 6749 section 3.2.
func tokenRequest(w http.ResponseWriter, r *http.Request) (access.Request, error) {
	malformed := &access.Refusal{Code: access.InvalidRequest, Description: "the body must be a form of at most 32 KiB, as application/x-www-form-urlencoded, with each parameter once"}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if kind != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		return access.Request{}, malformed
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return access.Request{}, malformed
		}
	}
	return access.Request{
		GrantType: r.PostForm.Get("grant_type"), Scope: r.PostForm.Get("scope"), ClientID: r.PostForm.Get("client_id"),
		AssertionType: r.PostForm.Get("client_assertion_type"), Assertion: r.PostForm.Get("client_assertion"),
	}, nil
}

// securitySchemes are how a request may show who sends it.
func securitySchemes() map[string]*huma.SecurityScheme {
	list := map[string]string{}
	for _, own := range access.Owns() {
		list[string(own.Scope)] = own.What
	}
	for _, whole := range wholeScopes {
		list[whole] = "FHIR resources of all types, by the syntax of SMART"
	}
	return map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", Description: "The node's own token, which allows everything"},
		oauth2: {
			Type: "oauth2", Description: "Registered clients, by SMART Backend Services: private_key_jwt in RS384 or ES384",
			Flows: &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: TokenPath, Scopes: list}},
		},
	}
}

// documentScopes adds to each operation that takes a token the scope that it needs.
func documentScopes(doc *huma.OpenAPI) {
	for path, item := range doc.Paths {
		for method, op := range operations(item) {
			if need := scopeOf(method, path); len(op.Security) > 0 && need != operator {
				op.Security = append(op.Security, map[string][]string{oauth2: {string(need)}})
			}
		}
	}
}

// operations are those of a path, by method.
func operations(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPut: item.Put, http.MethodPost: item.Post, http.MethodDelete: item.Delete,
		http.MethodOptions: item.Options, http.MethodHead: item.Head, http.MethodPatch: item.Patch, http.MethodTrace: item.Trace,
	}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func (s *server) documentAccess() {
	tags := []string{"access"}
	text := &huma.Schema{Type: huma.TypeString}
	s.document(huma.Operation{
		OperationID: "token", Method: http.MethodPost, Path: TokenPath, Summary: "Get a token for a registered client", Tags: tags,
		Description: "OAuth 2 client credentials as SMART Backend Services has them: the client signs an assertion with its key, for this address and for one use.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-www-form-urlencoded": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"grant_type", "scope", "client_assertion_type", "client_assertion"},
			Properties: map[string]*huma.Schema{
				"grant_type":            {Type: huma.TypeString, Enum: []any{access.GrantType}},
				"scope":                 {Type: huma.TypeString, Description: "With spaces between them", Examples: []any{"ingest jobs.read system/*.rs"}},
				"client_assertion_type": {Type: huma.TypeString, Enum: []any{access.AssertionType}},
				"client_assertion":      {Type: huma.TypeString, Description: "A JSON Web Token: alg RS384 or ES384, kid, typ JWT; iss and sub the client's id, aud this address, exp at most five minutes ahead, jti new"},
				"client_id":             text,
			},
		}}}},
	}, http.StatusOK, "application/json", s.router.Schema(AccessToken{}))
	s.router.API.OpenAPI().Paths[TokenPath].Post.Responses["400"] = &huma.Response{
		Description: "No token", Content: map[string]*huma.MediaType{"application/json": {Schema: s.router.Schema(TokenError{})}},
	}
	s.document(huma.Operation{
		OperationID: "authorizationServer", Method: http.MethodGet, Path: serverPath, Summary: "Where and how tokens are given", Tags: tags,
		Description: "RFC 8414. The FHIR API has the same at /fhir/.well-known/smart-configuration.",
	}, http.StatusOK, "application/json", s.router.Schema(Discovery{}))
}
