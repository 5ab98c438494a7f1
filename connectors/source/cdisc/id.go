package cdisc

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// digest is the id of what parts say: 32 hexadecimal digits. Each part is preceded by its
// length, so that no two lists of parts run together. connectors/source/hl7v2 and table make
// the ids of patients alike, so that a subject is the same one there under the same authority.
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

// to is a reference to the record of a type with the given id.
func to(resource, id string) fhir.Reference {
	return fhir.Reference{Form: fhir.ReferenceLiteral, Type: resource, ID: id}
}
