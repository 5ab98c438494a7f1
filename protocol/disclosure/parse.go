package disclosure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// maxName bounds the name of a field that an error repeats, in bytes.
const maxName = 40

// Parse reads a policy that another party wants to be kept. A field that is not known
// is a limit that would not be kept, and is refused by its name; so is what
// [Policy.Validate] refuses.
func Parse(raw []byte) (Policy, error) {
	var p Policy
	raw, err := canonical.Fields(raw)
	if err != nil {
		return p, problem.New(problem.Invalid, "disclosure: malformed")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return p, problem.New(problem.Invalid, "disclosure: malformed")
	}
	known := names()
	for name := range fields {
		if !slices.Contains(known, name) {
			return p, problem.New(problem.Invalid, fmt.Sprintf("disclosure.%s: unknown%s; known are %s", printable(name), spelling.Hint(name, known...), strings.Join(known, ", ")))
		}
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&p); err != nil {
		return p, problem.New(problem.Invalid, "disclosure: malformed")
	}
	return p, p.Validate()
}

// names returns the names of a policy's fields.
func names() (list []string) {
	for field := range reflect.TypeFor[Policy]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		list = append(list, name)
	}
	return list
}

// printable returns a name as it may stand in an error.
func printable(name string) string {
	letters := func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}
	name = strings.Map(letters, name)
	return name[:min(len(name), maxName)]
}
