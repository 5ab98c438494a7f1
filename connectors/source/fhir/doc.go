// Package fhir reads FHIR R4 and R5 JSON that others wrote: Bundles (transaction, batch,
// collection, searchset), NDJSON of a bulk export, and single resources, plain or gzip.
// What R5 shapes differently becomes what R4 has; DESIGN.md lists it.
//
// Start from [Read], which yields one [Record] per resource. A record it cannot use
// becomes a [*Problem] (rule, line, path), and reading goes on with the next one; any
// other error ends the input. The resources an OMOP mapping needs ([Patient],
// [Encounter], [Condition], [Observation], [MedicationRequest], [Procedure],
// [Immunization], [AllergyIntolerance], [DiagnosticReport]) are decoded into lean
// structs; every other type is handed on as raw bytes. [Summary] counts what came,
// [References] finds references that nothing answers.
//
// The package knows nothing of OMOP, storage or the network, and does not judge
// clinical plausibility. It is strict where encoding/json forgives: duplicate keys,
// invalid UTF-8, lone surrogates, deep nesting and a number where a string belongs are
// problems. It holds one entry or line at a time, so memory does not grow with the input
// except for the bundle's fullUrls (see [Options.MaxTracked]).
//
// Records hold patient data: records and resources print as a redaction and refuse to
// marshal, and a Problem is built from this package's own words, never from the input.
package fhir
