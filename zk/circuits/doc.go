// Package circuits holds the statements that are proven about consents, data, people
// and parcels, and the same computations natively, so that every reader agrees.
//
// Start from [EpochWitness] ("these bitmaps say who permits what, and they
// follow from the consent leaves under this root") and [AccessWitness] ("every
// record used was permitted by those bitmaps, and there were at least Min"). A
// result goes on with [AggregateWitness] ("these are the totals of those records over
// committed columns") and [ReleaseWitness] ("these figures are those totals, rounded
// or noised as the terms say"). What one person or one parcel does is in
// [EnrollmentWitness], [EligibilityWitness], [QuizWitness] and [CustodyWitness].
// [Circuit] names one of them at one size. DESIGN.md states each claim in plain
// words with the threat that each constraint answers.
//
// The package proves and verifies nothing: see zk/prover and zk/verifier. It
// reads no clock, no store and no randomness; salts and times are inputs.
//
// All hashing is Poseidon2 over the BN254 scalar field, width 4, 8 full and 56
// partial rounds, with the constants of the authors' reference implementation
// (github.com/HorizenLabs/poseidon2). testdata holds vectors for other languages.
package circuits
