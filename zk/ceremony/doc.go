// Package ceremony makes the keys of circuits by a Groth16 setup of several parties.
//
// The setup of a circuit draws secrets, and whoever knows all of them can forge proofs. In
// a ceremony each party mixes in secrets of its own and forgets them: the keys are sound
// unless all parties worked together or were broken into. What they did is a [Transcript],
// a folder that travels from party to party and that anybody can verify afterwards.
//
// It has two phases. In the first the parties extend the powers of tau, which fit any
// circuit; in the second they do so for each circuit. A beacon, a public value that nobody
// knew before the last contribution, ends each. [Start] plans, [Transcript.Contribute] adds
// a party's part, [Transcript.Finish] ends a phase, [Transcript.Verify] checks everything
// there is and at the end makes the keys anew.
//
// After Bowe, Gabizon, Miers 2017 (ePrint 2017/1050), as implemented by gnark's mpcsetup.
package ceremony
