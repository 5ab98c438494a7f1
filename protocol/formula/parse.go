package formula

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// Parse reads a formula. An error says what is wrong and, if it is an [Error], where.
func Parse(text string) (Formula, error) {
	if len(text) > MaxLength {
		return Formula{}, problem.New(problem.Invalid, fmt.Sprintf("formula: longer than %d bytes", MaxLength))
	}
	p := &parser{lexer: lexer{text: text}}
	p.next()
	f, err := p.formula()
	if err != nil {
		return Formula{}, err
	}
	return f, nil
}

// parser reads a formula by recursive descent. A set of terms is a list of sets of
// variables, each a bit mask over variables in the order in which they appear.
type parser struct {
	lexer
	variables []Variable
	response  *Variable
	offsets   []Variable
	strata    []Variable
	depth     int
	work      int // terms made so far, of which many may be the same
}

// maxWork bounds how long an answer may take: powers of powers make the same terms
// again and again.
const maxWork = 20_000

// sum is a part of the right side: its terms in order. The term without variables is
// the intercept.
type sum []uint64

func (p *parser) formula() (Formula, error) {
	if p.token != "~" {
		v, err := p.variable(true)
		if err != nil {
			return Formula{}, err
		}
		p.response = &v
	}
	if err := p.expect("~"); err != nil {
		return Formula{}, err
	}
	terms, err := p.sum(sum{0}) // a formula has an intercept until it takes it away
	if err != nil {
		return Formula{}, err
	}
	if p.token != "" {
		return Formula{}, p.bad("an operator, or the end")
	}
	f := Formula{Response: p.response, Offsets: p.offsets, Strata: p.strata}
	slices.SortStableFunc(terms, func(a, b uint64) int { return bits.OnesCount64(a) - bits.OnesCount64(b) })
	for _, t := range terms {
		if t == 0 {
			f.Intercept = true
			continue
		}
		var term Term
		for i, v := range p.variables {
			if t>>i&1 == 1 {
				term = append(term, v)
			}
		}
		if p.response != nil && slices.ContainsFunc(term, p.response.same) {
			return Formula{}, problem.New(problem.Invalid, "formula: the response stands on the right side too")
		}
		f.Terms = append(f.Terms, term)
	}
	return f, nil
}

func (v Variable) same(o Variable) bool {
	return v.Function == o.Function && v.Power == o.Power && slices.Equal(v.Columns, o.Columns)
}

// sum reads summands and adds them to, or takes them from, into.
func (p *parser) sum(into sum) (sum, error) {
	sign := "+"
	if p.token == "-" || p.token == "+" {
		sign = p.token
		p.next()
	}
	for {
		at := p.at
		part, err := p.product()
		if err != nil {
			return nil, err
		}
		if sign == "-" && !part.isTerms() && !part.zero {
			return nil, p.fail(at, fmt.Sprintf("formula, byte %d: offset and strata cannot be taken away", at))
		}
		// A zero is the intercept taken away: + 0 is - 1.
		if part.zero {
			part.terms = sum{0}
			sign = map[string]string{"+": "-", "-": "+"}[sign]
		}
		for _, t := range part.terms {
			if sign == "-" {
				into = slices.DeleteFunc(into, func(o uint64) bool { return o == t })
			} else if into, err = p.insert(into, t, at); err != nil {
				return nil, err
			}
		}
		if sign = p.token; sign != "+" && sign != "-" {
			return into, nil
		}
		p.next()
	}
}

func (p *parser) insert(into sum, t uint64, at int) (sum, error) {
	if p.work++; p.work > maxWork {
		return nil, p.fail(at, fmt.Sprintf("formula, byte %d: too many operators; write its terms out", at))
	}
	if slices.Contains(into, t) {
		return into, nil
	}
	if len(into) >= MaxTerms {
		return nil, p.fail(at, fmt.Sprintf("formula, byte %d: more than %d terms", at, MaxTerms))
	}
	return append(into, t), nil
}

// operand is what an operator joins: terms, the number 0, or what is no term.
type operand struct {
	terms sum
	zero  bool
}

func (o operand) isTerms() bool { return len(o.terms) > 0 }

// product reads a*b, which is a + b + a:b, and a/b, which is a + a:b.
func (p *parser) product() (operand, error) {
	left, err := p.interaction()
	for err == nil && (p.token == "*" || p.token == "/") {
		operator, at := p.token, p.at
		p.next()
		var right operand
		if right, err = p.interaction(); err != nil {
			break
		}
		if !left.isTerms() || !right.isTerms() {
			return left, p.bad("terms on both sides of the operator, and neither 0, offset nor strata")
		}
		out := slices.Clone(left.terms)
		with := left.terms
		if operator == "*" {
			for _, t := range right.terms {
				if out, err = p.insert(out, t, at); err != nil {
					return left, err
				}
			}
		} else {
			var all uint64
			for _, t := range left.terms {
				all |= t
			}
			with = sum{all}
		}
		if out, err = p.cross(out, with, right.terms, at); err != nil {
			return left, err
		}
		left.terms = out
	}
	return left, err
}

// interaction reads a:b.
func (p *parser) interaction() (operand, error) {
	left, err := p.power()
	for err == nil && p.token == ":" {
		at := p.at
		p.next()
		var right operand
		if right, err = p.power(); err != nil {
			break
		}
		if !left.isTerms() || !right.isTerms() {
			return left, p.bad("terms on both sides of the operator, and neither 0, offset nor strata")
		}
		left.terms, err = p.cross(nil, left.terms, right.terms, at)
	}
	return left, err
}

// cross adds the interactions of every term of a with every term of b.
func (p *parser) cross(into, a, b sum, at int) (sum, error) {
	var err error
	for _, s := range a {
		for _, t := range b {
			if into, err = p.insert(into, s|t, at); err != nil {
				return nil, err
			}
		}
	}
	return into, nil
}

// power reads (a + b)^k, which are the terms and their interactions up to k.
func (p *parser) power() (operand, error) {
	base, err := p.primary()
	if err != nil || p.token != "^" {
		return base, err
	}
	p.next()
	k, err := p.exponent()
	if err != nil {
		return base, err
	}
	if !base.isTerms() {
		return base, p.bad("terms before ^")
	}
	out := base.terms
	for range k - 1 {
		joined := slices.Clone(out)
		if joined, err = p.cross(joined, out, base.terms, p.at); err != nil {
			return base, err
		}
		out = joined
	}
	return operand{terms: out}, nil
}

func (p *parser) exponent() (int, error) {
	if len(p.token) != 1 || p.token[0] < '1' || p.token[0] > '0'+MaxPower {
		return 0, p.bad(fmt.Sprintf("a whole number from 1 to %d", MaxPower))
	}
	k := int(p.token[0] - '0')
	p.next()
	return k, nil
}

// maxDepth bounds how deep parentheses nest.
const maxDepth = 20

func (p *parser) primary() (operand, error) {
	switch p.token {
	case "1":
		p.next()
		return operand{terms: sum{0}}, nil
	case "0":
		p.next()
		return operand{zero: true}, nil
	case "(":
		if p.depth++; p.depth > maxDepth {
			return operand{}, p.bad("fewer parentheses")
		}
		p.next()
		inner, err := p.sum(nil)
		if err != nil {
			return operand{}, err
		}
		p.depth--
		return operand{terms: inner}, p.expect(")")
	case "offset", "strata":
		return p.special(p.token)
	}
	v, err := p.variable(false)
	if err != nil {
		return operand{}, err
	}
	i := slices.IndexFunc(p.variables, v.same)
	if i < 0 {
		if i = len(p.variables); i == MaxVariables {
			return operand{}, p.bad(fmt.Sprintf("%d variables at most", MaxVariables))
		}
		p.variables = append(p.variables, v)
	}
	return operand{terms: sum{1 << i}}, nil
}

// special reads offset(v) or strata(v); neither is a term.
func (p *parser) special(name string) (operand, error) {
	if p.depth > 0 {
		return operand{}, p.bad(name + " outside parentheses")
	}
	p.next()
	if err := p.expect("("); err != nil {
		return operand{}, err
	}
	v, err := p.variable(false)
	if err != nil {
		return operand{}, err
	}
	list := &p.offsets
	if name == "strata" {
		list = &p.strata
	}
	if len(*list) >= MaxVariables {
		return operand{}, p.bad("fewer of " + name)
	}
	*list = append(*list, v)
	return operand{}, p.expect(")")
}

// variable reads a column or a function of one.
func (p *parser) variable(response bool) (Variable, error) {
	name := p.token
	if !isName(name) {
		return Variable{}, p.bad("the name of a column")
	}
	p.next()
	if p.token != "(" {
		return Variable{Columns: []string{name}}, nil
	}
	p.next()
	f := Function(name)
	switch {
	case f == Surv && response:
		return p.survival()
	case f == Power:
		return p.ofPower()
	case f == Factor && !response, slices.Contains(numerical, f):
		column := p.token
		if !isName(column) {
			return Variable{}, p.bad("the name of a column")
		}
		p.next()
		return Variable{Function: f, Columns: []string{column}}, p.expect(")")
	}
	return Variable{}, p.fail(p.at, fmt.Sprintf(
		"formula: no function of that name can stand before byte %d%s; known are log, log2, log10, exp, sqrt, factor, I(x^k), offset and strata, and Surv as the response", p.at, spelling.Hint(name, functions...)))
}

// ofPower reads the rest of I(x^k).
func (p *parser) ofPower() (Variable, error) {
	column := p.token
	if !isName(column) {
		return Variable{}, p.bad("the name of a column")
	}
	p.next()
	if err := p.expect("^"); err != nil {
		return Variable{}, err
	}
	k, err := p.exponent()
	if err != nil {
		return Variable{}, err
	}
	return Variable{Function: Power, Columns: []string{column}, Power: k}, p.expect(")")
}

// survival reads the rest of Surv(time, event) or Surv(start, stop, event).
func (p *parser) survival() (Variable, error) {
	v := Variable{Function: Surv}
	for {
		if !isName(p.token) {
			return v, p.bad("the name of a column")
		}
		v.Columns = append(v.Columns, p.token)
		p.next()
		if p.token != "," || len(v.Columns) == 3 {
			break
		}
		p.next()
	}
	if len(v.Columns) < 2 {
		return v, p.bad("a comma and the event's column")
	}
	return v, p.expect(")")
}

func (p *parser) expect(token string) error {
	if p.token != token {
		return p.bad(token)
	}
	p.next()
	return nil
}

func (p *parser) bad(want string) error {
	return p.fail(p.at, fmt.Sprintf("formula, byte %d: want %s", p.at, want))
}

// lexer cuts the text into names, digits and operators.
type lexer struct {
	text  string
	token string // "" at the end
	at    int    // of the token, from 0
	end   int
}

func (l *lexer) next() {
	for l.end < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.end]) >= 0 {
		l.end++
	}
	l.at = l.end
	for l.end < len(l.text) && inName(l.text[l.end]) {
		l.end++
	}
	if l.end == l.at && l.end < len(l.text) {
		l.end++
	}
	l.token = l.text[l.at:l.end]
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}

// isName reports whether a token names a column: letters, digits, dots and underscores,
// a letter first.
func isName(token string) bool {
	return token != "" && inName(token[0]) && (token[0]|0x20 >= 'a' && token[0]|0x20 <= 'z')
}

// ValidName reports whether a formula can name such a column.
func ValidName(name string) bool {
	for i := range len(name) {
		if !inName(name[i]) {
			return false
		}
	}
	return isName(name)
}
