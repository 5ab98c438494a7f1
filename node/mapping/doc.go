// Package mapping turns the records of sources, which speak in FHIR's resources, into
// rows of the OMOP Common Data Model.
//
// Start from [Mapper.Map], which appends the rows of one record to a batch.
// A row goes where the domain of its standard concept says, whatever the type of
// the resource was: a Condition whose concept is in domain Observation becomes a
// row of observation. A code that says several things becomes several rows; a code
// without a standard concept becomes one row with concept 0 in the table that is
// usual for the resource. Codes and values are kept as sent beside the concepts,
// numbers in the unit they came in.
//
// What did not happen (entered in error, refuted, not done, only planned) becomes a
// row that is marked invalid, so that it takes the place of an earlier version of
// the same record and is left out of answers.
//
// Mapping depends on the record and the vocabulary alone; it reads no clock and no
// store. The keys it gives to persons, visits and records are built from the
// resource's type and id, so records find each other across files.
package mapping
