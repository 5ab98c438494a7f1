// Package cdm reads tables of an OMOP Common Data Model, 5.3 or 5.4, that a site has
// exported as CSV: one table a file, comma or tab, plain or gzip.
//
// Start from [Read], which yields one record per row; its Resource is a [*Row], whose
// values are named by the columns of CDM 5.4. Which table a file is, is found in its
// header, not in its name ([Detect]). A row is given as it is: what is wrong with it
// but does not keep it from being used is listed in [Row.Defects]; a row that cannot
// be used (no key, no person, no date, a key that came before) becomes a
// [*fhir.Problem], and reading goes on.
//
// The package judges a row by itself. Whether its person exists, what its concepts
// are and whether its dates fit a life is for whoever stores it. fields.csv is the
// CDM's own list of fields. Rows hold patient data: they print as a redaction and
// refuse to marshal, and a problem never holds a byte of the input.
package cdm
