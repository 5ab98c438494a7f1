// Package parquet reads tables that are Apache Parquet files, and is the only door to the
// library that decodes them.
//
// Start from [Open]: the [Table] that it returns is an io.Reader of the same table as CSV,
// its header first, so that whatever reads CSV reads Parquet, with the same mappings, limits
// and findings. Null is an empty cell; DESIGN.md says how each type is written.
//
// A footer stands at the end, so the file is read from a place of random access: a file
// where it lies, anything else from a copy on disk that has no name and is encrypted with a
// key that only this process has. Row groups are decoded page by page in bounded memory.
//
// Nested columns are not tables and are refused. A damaged or hostile file is a
// [*fhir.Problem], also where it makes the library panic. A Table holds patient data, which
// goes to its reader only: problems hold no byte of the file.
package parquet
