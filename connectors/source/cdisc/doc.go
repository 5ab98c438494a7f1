// Package cdisc reads the data sets of clinical trials that CDISC standardizes: SDTM, and
// ADSL of ADaM, as SAS transport files (XPORT version 5, and 8 or 9), Dataset-JSON 1.1 (one
// document, NDJSON, or that compressed) and CSV. It gives the records that
// connectors/source/fhir gives, so that one mapping to OMOP serves both, and a site writes no
// mapping for them.
//
// Start from [Read]. Which format and data set an input is, is found in its content
// ([Detect], [DetectTable]); [Stage] says in which order the files of a study are to be
// loaded. DM, and ADSL, make a Patient of each subject, SV visits, AE, MH and CE conditions,
// CM and EX medications, PR procedures, DS and SU and all domains with a --TESTCD
// observations. The rows of other data sets (SUPP--, RELREC, trial design, the rest of ADaM)
// become records of a type of their name without a resource: they are counted, and kept in
// the raw copy. DESIGN.md says what becomes of which variable, and why.
//
// A row that cannot be used becomes a [*fhir.Problem] with its line and variable, and
// reading goes on: a row that came before, one without a subject, a date that is none, bytes
// that are no text. Ids are digests of study, subject, domain and sequence number, so reading
// twice changes nothing. Memory does not grow with the file but for the keys of its rows (see
// [fhir.Options.MaxTracked]).
//
// Records hold patient data: they print as a redaction and refuse to marshal. A problem holds
// no byte of the file but the letters of a domain, before names that this package knows.
package cdisc
