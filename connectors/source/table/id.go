package table

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// digest is the id of what parts say: 32 hexadecimal digits. Each part is preceded by
// its length, so that no two lists of parts run together. connectors/source/hl7v2 makes
// the ids of patients and visits alike, so that they are the same ones there.
func digest(parts ...string) string {
	var room [512]byte
	buf := room[:0]
	for _, p := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:16])
}

// named is the id of the patient or visit that has a number. Without an authority the
// number is the id of a FHIR resource; ok is false if it cannot be one.
func (m *Mapping) named(resource, number string) (id string, ok bool) {
	if m.authority != "" {
		return digest(resource, m.authority, number), true
	}
	return number, isResourceID(number)
}

// isResourceID checks https://hl7.org/fhir/R4/datatypes.html#id.
func isResourceID(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.'
	}) < 0
}

// to is a reference to the record of a type with the given id.
func to(resource, id string) fhir.Reference {
	return fhir.Reference{Form: fhir.ReferenceLiteral, Type: resource, ID: id}
}
