package fhir

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Digest is the id of what parts say: 32 hexadecimal digits. Each part is preceded by
// its length, so that no two lists of parts run together. Sources that have no ids of
// FHIR give a patient the same one by the same parts: Patient, the assigning authority
// (an OID, the study of a trial, what a mapping names), the number.
func Digest(parts ...string) string {
	buf := make([]byte, 0, 256)
	for _, p := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:16])
}

// IsResourceID checks https://hl7.org/fhir/R4/datatypes.html#id.
func IsResourceID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return !alphanumeric(c) && c != '-' && c != '.' }) < 0
}

// To is a reference to the record of a type with the given id, none without an id.
func To(kind, id string) Reference {
	if id == "" {
		return Reference{}
	}
	return Reference{Form: ReferenceLiteral, Type: kind, ID: id}
}
