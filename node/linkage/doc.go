// Package linkage finds the records that are about one person, inside a site and
// between sites that do not show each other who their patients are.
//
// A [Record] holds what identifies a person, each [Field] in one normal form.
// Inside a site [Exact] links records that agree on a [Recipe] without a
// difference, and [Link] links by a [Model] of how often true and false pairs
// agree on each field, learned from the records themselves (Fellegi and Sunter).
// Between sites a record becomes one value for each recipe, which package
// federation/oprf turns into tokens that are equal for equal values, or one
// [Code], a Bloom filter that is similar for similar records ([Match]).
//
// Both are pseudonyms and not anonymous: DESIGN.md says what who can learn from
// them, deploy/docs/linkage.md how many pairs each finds. The package reads no clock
// and names no value of a record in an error. Records do not print; pairs are places
// in lists.
package linkage
