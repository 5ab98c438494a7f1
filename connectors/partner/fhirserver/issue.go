package fhirserver

import "strings"

// issueCodes are those of https://hl7.org/fhir/R5/valueset-issue-type.html.
var issueCodes = set(`invalid structure required value invariant security login unknown expired forbidden suppressed
	processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly
	business-rule conflict limited-filter transient lock-error no-store exception timeout incomplete throttled
	informational success`)

// oauthCodes are those of RFC 6749, sections 4.1.2.1 and 5.2, and RFC 6750, section 3.1.
var oauthCodes = set(`invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type
	invalid_scope access_denied unsupported_response_type server_error temporarily_unavailable invalid_token
	insufficient_scope`)

func set(names string) map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(names) {
		all[name] = true
	}
	return all
}

// IsIssueCode reports whether text is a code of FHIR's issue-type. Anything else that a
// server writes there is not to be repeated.
func IsIssueCode(text string) bool { return issueCodes[text] }

// isCode reports whether text is a code of either: servers put them in each other's place.
func isCode(text string) bool { return issueCodes[text] || oauthCodes[text] }
