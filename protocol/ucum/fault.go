package ucum

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Rule names what a code that is no unit breaks.
type Rule string

// The rules, a closed list.
const (
	RuleLength      Rule = "length"      // over MaxLength bytes
	RuleDepth       Rule = "depth"       // over MaxDepth parentheses
	RuleSize        Rule = "size"        // magnitude or exponent beyond any use
	RuleCharacter   Rule = "character"   // space, control, not ASCII, or without a meaning
	RuleBracket     Rule = "bracket"     // [ and ] are not in pairs
	RuleAnnotation  Rule = "annotation"  // { and } are not in pairs
	RuleParenthesis Rule = "parenthesis" // ( and ) are not in pairs
	RuleOperand     Rule = "operand"     // an operator without a unit after it
	RuleOperator    Rule = "operator"    // two units without an operator between
	RuleExponent    Rule = "exponent"    // an exponent on a number, or a sign without digits
	RuleNumber      Rule = "number"      // a number that is zero
	RuleSymbol      Rule = "symbol"      // no such unit
	RuleSpecial     Rule = "special"     // a special unit in an algebraic term
)

var sentences = map[Rule]string{
	RuleLength:      fmt.Sprintf("a unit has at most %d characters", MaxLength),
	RuleDepth:       fmt.Sprintf("parentheses nest at most %d deep", MaxDepth),
	RuleSize:        "the magnitude or an exponent is too large",
	RuleCharacter:   "this character cannot stand here",
	RuleBracket:     "square brackets stand in pairs and do not nest",
	RuleAnnotation:  "braces stand in pairs and do not nest",
	RuleParenthesis: "parentheses stand in pairs",
	RuleOperand:     "a unit or number must follow",
	RuleOperator:    "an operator (. or /) must stand between two units",
	RuleExponent:    "an exponent is an integer after a unit; write powers of ten as 10*3",
	RuleNumber:      "a number is a positive integer",
	RuleSymbol:      "no such unit, or a prefix on a unit that takes none",
	RuleSpecial:     "a unit with an offset or a curve can be scaled by a number and nothing else",
}

// SyntaxError says where a code stops being a unit. It does not repeat the code,
// which may come from a record.
type SyntaxError struct {
	Offset int // bytes before the place, 0 to the length of the code
	Rule   Rule
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("unit: character %d: %s", e.Offset+1, sentences[e.Rule])
}

// Unwrap makes the error one that may be shown outside.
func (e *SyntaxError) Unwrap() error { return problem.New(problem.Invalid, e.Error()) }

var (
	// ErrIncommensurable reports two units that measure different things. Ask for
	// the values in a unit of the same dimension.
	ErrIncommensurable = problem.New(problem.Invalid, "unit: the two units measure different things")

	// ErrDomain reports a value that has no counterpart in the other unit, such as
	// the level in bel of a negative pressure.
	ErrDomain = problem.New(problem.Invalid, "unit: the value has no counterpart in the other unit")

	// ErrZero reports a division by a value of 0.
	ErrZero = problem.New(problem.Invalid, "unit: the value divides by 0")

	// ErrDecimal reports text that is not a decimal number, or is one beyond the
	// bounds of [ParseDecimal].
	ErrDecimal = problem.New(problem.Invalid, "unit: the value is not a decimal number of at most 128 characters and exponent 999")
)
