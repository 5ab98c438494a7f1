// Package table reads tables (CSV, TSV and their relatives) of laboratories and other
// systems by a mapping that the site writes once, and gives the records that
// connectors/source/fhir gives, so that one mapping to OMOP serves both.
//
// A [Mapping] is a YAML file that says which files it is for, what their columns mean
// and which records a row makes; testdata/examples has complete ones and DESIGN.md says
// what the language can and cannot say. Start from [LoadSet], which reads a folder of
// mappings, and [Set.Read], which finds the one mapping whose columns a file has. [Read]
// takes a mapping that the caller chose, [Suggest] proposes one for a file.
//
// A row or a cell that cannot be read becomes a [*fhir.Problem] with the line of the
// file and the name of the column, and reading goes on. Nothing is guessed: a number in
// the other decimal notation, a date that a spreadsheet turned into a number and a row
// that came before are problems. Ids are digests of the mapping's name, the patient and
// the row's key, so reading twice changes nothing. Memory does not grow with the file
// except for the keys of its rows (see [Options]).
//
// Records hold patient data: they print as a redaction and refuse to marshal. A problem
// never holds a byte of the file, only names of columns, which are the mapping's.
package table
