package access

import "errors"

// Code is what is wrong with a request for a token.
type Code string

// The codes of RFC 6749, section 5.2, that occur with client credentials, and the one of
// section 4.1.2.1 for what may be tried again.
const (
	InvalidRequest   Code = "invalid_request"
	InvalidClient    Code = "invalid_client"
	UnsupportedGrant Code = "unsupported_grant_type"
	InvalidScope     Code = "invalid_scope"
	Busy             Code = "temporarily_unavailable"
)

// Refusal is why a client gets no token, as it is told. It repeats nothing that was sent.
type Refusal struct {
	Code        Code
	Description string
}

// Error is the description.
func (r *Refusal) Error() string { return r.Description }

func refuse(code Code, description string) *Refusal { return &Refusal{code, description} }

// What clients are told. Until the signature is known to be good, all that is wrong with
// a client is told in one sentence, so that nobody learns which clients there are.
var (
	errGrant     = refuse(UnsupportedGrant, "grant_type must be client_credentials")
	errForm      = refuse(InvalidRequest, "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer, with a client_assertion")
	errClient    = refuse(InvalidClient, "the assertion is not signed in RS384 or ES384 with a key that the client in it has registered under its kid")
	errClaims    = refuse(InvalidClient, "the assertion must have iss and sub, both the client's id, and aud, exp and jti")
	errAudience  = refuse(InvalidClient, "aud of the assertion must be the address of the token endpoint, as the discovery document has it, and nothing else")
	errExpired   = refuse(InvalidClient, "the assertion has expired")
	errTooLong   = refuse(InvalidClient, "exp of the assertion must be at most five minutes ahead")
	errNotYet    = refuse(InvalidClient, "the assertion is from the future: set the clock")
	errReplay    = refuse(InvalidClient, "the assertion was used before: make one for each request")
	errScopes    = refuse(InvalidScope, "none of the scopes is one that the client is registered for")
	errPublished = refuse(Busy, "the client's keys could not be read from where it publishes them")
	errRate      = refuse(Busy, "the client asks for tokens too often: use one until it expires")
)

// ErrToken reports a token that is unknown, has expired or was revoked: get another.
var ErrToken = errors.New("the token is unknown, has expired or was revoked")
