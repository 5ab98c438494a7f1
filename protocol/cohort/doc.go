// Package cohort reads OHDSI cohort definitions (Circe JSON, as ATLAS exports them) and
// says what they mean.
//
// [Read] gives a [Definition], which a node evaluates. Every element of the format is
// read, known to mean nothing, or an error by its path, because a criterion that is
// silently ignored is a wrong answer; what is read and cannot be evaluated is named by
// [Definition.Unsupported]. [Definition.Normal] is one form for all definitions of the
// same cohort, [Definition.Explain] the definition in plain English, [Definition.Lint]
// what is suspicious about it, [Definition.Reads] the domains it looks at. Nothing here
// knows a vocabulary or a patient.
//
// Source: OHDSI/circe-be, org.ohdsi.circe.cohortdefinition (field names and defaults).
package cohort
