package wearable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// errSecret is what marshalling a secret ends with.
var errSecret = errors.New("wearable: a secret does not marshal")

// Secret is a text that neither prints nor marshals.
type Secret struct{ text string }

// NewSecret returns a text as a secret, without space around it.
func NewSecret(text string) Secret { return Secret{strings.TrimSpace(text)} }

// Format prints a redaction whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret:redacted") }

// MarshalJSON refuses.
func (Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// Tokens are what a maker gave for an authorization. They neither print nor marshal;
// [Tokens.Text] is for who keeps them encrypted.
type Tokens struct {
	access, refresh string
	ends            time.Time // of access; zero if the maker does not say
	account         string    // the maker's id of the person, empty if it has not said
}

// margin is how long before its end an access token is not used any more.
const margin = 2 * time.Minute

// Fresh reports whether the access token holds for a while.
func (t Tokens) Fresh(now time.Time) bool { return t.ends.IsZero() || now.Add(margin).Before(t.ends) }

// Account is the maker's id of the person, empty if the maker does not say.
func (t Tokens) Account() string { return t.account }

// Format prints a redaction whatever the verb.
func (Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "tokens:redacted") }

// MarshalJSON refuses.
func (Tokens) MarshalJSON() ([]byte, error) { return nil, errSecret }

// kept is the form in which tokens are kept.
type kept struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Ends    time.Time `json:"ends,omitzero"`
	Account string    `json:"account,omitempty"`
}

// Text returns all that there is, to be kept encrypted.
func (t Tokens) Text() []byte {
	text, _ := json.Marshal(kept{t.access, t.refresh, t.ends, t.account}) // texts and a time always do
	return text
}

// ParseTokens reads what [Tokens.Text] returned.
func ParseTokens(text []byte) (Tokens, error) {
	var k kept
	if json.Unmarshal(text, &k) != nil || k.Access == "" {
		return Tokens{}, errors.New("wearable: kept tokens are malformed")
	}
	return Tokens{k.Access, k.Refresh, k.Ends, k.Account}, nil
}
