package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// maxKey is the length of an idempotency key, in characters.
const maxKey = 255

var errKey = problem.New(problem.Invalid, `the header Idempotency-Key is no string of 1 to 255 characters in double quotes: want Idempotency-Key: "…"`)

// idempotencyKey returns the key of a request, "" for none. The header is a string of
// RFC 9651, section 4.2.5, without parameters.
//
// Source: draft-ietf-httpapi-idempotency-key-header-07.
func idempotencyKey(h http.Header) (ingest.Key, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	text, begins := strings.CutPrefix(strings.Trim(values[0], " \t"), `"`)
	text, ends := strings.CutSuffix(text, `"`)
	if len(values) > 1 || !begins || !ends {
		return "", errKey
	}
	var key strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
			i++
			c = text[i]
		} else if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", errKey
		}
		key.WriteByte(c)
	}
	if key.Len() == 0 || key.Len() > maxKey {
		return "", errKey
	}
	return ingest.Key(key.String()), nil
}

// keyParam describes the header.
func keyParam() *huma.Param {
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Example: `"8e03978e-40d5-43dd-bc93-6894a57f9324"`,
		Description: "A string of 1 to 255 characters in double quotes, kept for three days. The same request again with the same key gets the same answer; another one is refused with status 422, and with 409 while the first is under way.",
	}
}
