// Package extract writes de-identified OMOP CDM tables that a site makes for itself
// from its own store.
//
// Start from [Parse], which reads what a study wants ([Spec]), and [Write]. Persons get
// a pseudonym and their dates are moved, both by a key of the study that stays at the
// site; the demographics are made coarse until every combination of them is that of at
// least k persons, and who is still left over is suppressed. [Manifest] names what was
// generalized and suppressed, in counts, and what risk is left.
//
// Nothing here sends anything, and nothing here is the release gate of package release:
// the gate lets numbers out to whoever asks and has to remember each, an extract is
// rows that stay on the site's disk until the site decides otherwise. DESIGN.md says
// what each step does and what none of them protects against.
package extract
