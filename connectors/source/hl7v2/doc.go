// Package hl7v2 reads HL7 v2 messages (2.3 to 2.8) that others wrote and gives the
// records that connectors/source/fhir gives, so that one mapping serves both.
//
// Start from [Read], which takes files: messages one after another, batches, MLLP
// frames, plain or gzip. A message that cannot be read becomes a [*fhir.Problem], and
// reading goes on at the next one; so does a segment that cannot be understood. What
// the lean resources have no struct for (orders, appointments, documents, segments that
// only this site knows) is handed on as raw bytes, to be counted and kept. [Merge] says
// that two patients or visits are one; applying it is the store's. [FrameReader],
// [WriteFrame] and [Header.Acknowledge] are what a listener needs. [Identities] gives
// the names, addresses and identifiers that resources leave out. Version 3 kept the form
// of times and numbers, so [ParseTime], [ParseQuantity] and [Digest] serve package ccda too.
//
// Ids are digests of what the sender says about identity (assigning authority and
// number, order and code), so the same patient is one over all messages, a corrected
// result replaces the earlier one, and reading twice changes nothing. DESIGN.md says
// what they are made of, and where this package departs from the HL7 v2-to-FHIR guide.
//
// Places are counted from 1, as HL7 does: message[3].OBX[2].5 is field 5 of the second
// OBX of the third message. Records hold patient data: they print as a redaction and
// refuse to marshal, and a problem never holds a byte of the input.
package hl7v2
