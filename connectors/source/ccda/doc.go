// Package ccda reads clinical documents (C-CDA R2.1 and R1.1, CCD and other CDA Release 2)
// that others wrote and gives the records that connectors/source/fhir gives, so that one
// mapping serves both.
//
// Start from [Read], which takes one document, plain or gzip. The header gives the
// patient and the visit; sections are told by template or LOINC code and give conditions,
// allergies, medications, immunizations, procedures, results, vital signs, encounters and
// social history. A section that is not read here is handed on as raw bytes, of a type
// that names its code, so that it is counted and kept; so is an entry that gives nothing
// (Type Entry), and one that denies, as "no known allergies" does (Type Negation).
// [Identify] gives the names, addresses and identifiers that resources leave out.
//
// The document is read section by section and entry by entry, so memory does not grow
// with it. An entry that cannot be understood becomes a [*fhir.Problem] and reading goes
// on with the next; what is not XML, or has a type declaration, ends the document.
//
// Ids are digests of what the sender says about identity, as in connectors/source/hl7v2:
// the same number by the same authority is one patient, whichever of the two it came by.
// DESIGN.md says what ids are made of, what is not read, and how far other converters
// agree.
//
// Places are counted from 1: section[Results].entry[2].organizer.component[3]. Every name
// in one is this package's own. Records hold patient data: they print as a redaction and
// refuse to marshal, and a problem never holds a byte of the input.
package ccda
