// Package ucum reads units of the Unified Code for Units of Measure and converts
// between them.
//
// [Parse] reads a case-sensitive code ("mg/dL") into a [Unit]. [NewConversion]
// relates two units once, so that many values can follow; [Convert] is both steps
// for one [Decimal], a number with the significant digits that it was written with.
// A [Converter] remembers the conversions of a stream.
//
// Units stand in questions that cross organizations, so every node must convert
// alike. That is why this lies below protocol: the definitions are ucum-essence.xml,
// embedded unchanged, and linear conversions are exact rational arithmetic.
//
// What a unit measures is a product of powers of the seven base units m, s, g, rad,
// K, C and cd, and of arbitrary units. An arbitrary unit ([iU], [arb'U]) stands for
// a procedure. It counts as a base unit of its own: [iU]/mL converts to k[iU]/L and
// to nothing without [iU].
//
// Pi is the 65 digits that the essence gives, taken as an exact number, so that
// conversions of angles can be undone. The curves of special units (pH, bel, neper,
// slope) are computed with 256 bits and rounded to 24 significant digits.
//
// Where the specification leaves a choice, or contradicts itself, this package has
//   - no exponent on a number ("2+10"): the text has it, the grammar and the
//     functional tests refuse it;
//   - an annotation after a number ("1{c}"): the grammar refuses it, the functional
//     tests have it;
//   - special units scaled by a prefix or number and in no other term, so "Cel/h" is
//     refused: no offset could be applied to it (section 3.1.2);
//   - the special expression, 100tan(1 rad), not the function element beside it,
//     which for %[slope] says deg: a slope of 100 % is 45 degrees.
//
// The case-insensitive variant and conversions that need a substance (mg to mmol)
// are not here.
package ucum
