package cdisc

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// textOf is what the bytes of a value say. A transport file does not name its character set:
// what is UTF-8, as ASCII is, is taken as such and all else as Windows-1252, in which SAS
// works on Windows. Five bytes have no meaning in either; the rule then says so, as it does
// of U+0000.
func textOf(raw string) (string, fhir.Rule) {
	switch {
	case strings.IndexByte(raw, 0) >= 0:
		return "", fhir.RuleForbiddenCharacter
	case utf8.ValidString(raw):
		return strings.TrimSpace(raw), ""
	}
	var b strings.Builder
	for i := range len(raw) {
		c := charmap.Windows1252.DecodeByte(raw[i])
		if c == utf8.RuneError {
			return "", fhir.RuleInvalidUTF8
		}
		b.WriteRune(c)
	}
	return strings.TrimSpace(b.String()), ""
}
