package ucum

import (
	"math/big"
	"strconv"
	"strings"
)

const (
	// MaxLength is the length of the longest code that is read, in bytes.
	MaxLength = 256

	// MaxDepth is how deep parentheses may nest.
	MaxDepth = 16
)

// parser reads one code by recursive descent.
//
// Source: UCUM 2.2, section 2.1 (lexical rules) and exhibit 1 (grammar).
type parser struct {
	symbols *catalog
	code    string
	at      int // bytes read
}

// parse reads a whole code; the empty one is unity.
func (c *catalog) parse(code string) (term, error) {
	if len(code) > MaxLength {
		return nil, &SyntaxError{MaxLength, RuleLength}
	}
	if code == "" {
		return nil, nil
	}
	p := &parser{symbols: c, code: code}
	t, err := p.term(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(code) {
		return nil, p.unexpected()
	}
	return t, nil
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.code) {
		return p.code[p.at]
	}
	return 0
}

// take reads b if it is next.
func (p *parser) take(b byte) bool {
	if p.at < len(p.code) && p.code[p.at] == b {
		p.at++
		return true
	}
	return false
}

func (p *parser) fail(rule Rule) error { return &SyntaxError{p.at, rule} }

// unexpected says what is wrong with a byte after a complete component.
func (p *parser) unexpected() error {
	switch b := p.peek(); {
	case b == ')':
		return p.fail(RuleParenthesis)
	case b == '}':
		return p.fail(RuleAnnotation)
	case b == ']':
		return p.fail(RuleBracket)
	case b == '+', b == '-':
		return p.fail(RuleExponent)
	case b == '(', b == '{', b == '[', symbolic(b):
		return p.fail(RuleOperator)
	}
	return p.fail(RuleCharacter)
}

// term reads components and operators up to something else. Only the outermost
// term may begin with a solidus.
func (p *parser) term(depth int) (term, error) {
	var t term
	over := depth == 0 && p.take('/')
	for {
		c, err := p.component(depth)
		if err != nil {
			return nil, err
		}
		c.over = over
		t = append(t, c)
		switch {
		case p.take('.'):
			over = false
		case p.take('/'):
			over = true
		default:
			return t, nil
		}
	}
}

// component reads a unit, a number, an annotation or a term in parentheses.
func (p *parser) component(depth int) (part, error) {
	c := part{offset: p.at, exponent: 1}
	var err error
	switch b := p.peek(); {
	case b == '(':
		c.inner, err = p.nested(depth)
		return c, err
	case b == '{':
		c.annotation, err = p.annotation()
		return c, err
	case b == '[', symbolic(b):
		if err = p.simple(&c); err == nil && p.peek() == '{' {
			c.annotation, err = p.annotation()
		}
		return c, err
	case p.at == len(p.code), b == '.', b == '/', b == ')':
		return c, p.fail(RuleOperand)
	}
	return c, p.unexpected()
}

func (p *parser) nested(depth int) (term, error) {
	if depth == MaxDepth {
		return nil, p.fail(RuleDepth)
	}
	open := p.at
	p.take('(')
	t, err := p.term(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(')') {
		if p.at < len(p.code) {
			return nil, p.unexpected()
		}
		return nil, &SyntaxError{open, RuleParenthesis}
	}
	return t, nil
}

// annotation reads from { to }.
func (p *parser) annotation() (string, error) {
	open := p.at
	for p.at++; p.at < len(p.code); p.at++ {
		switch b := p.code[p.at]; {
		case b == '}':
			p.at++
			return p.code[open:p.at], nil
		case b == '{':
			return "", p.fail(RuleAnnotation)
		case !printable(b):
			return "", p.fail(RuleCharacter)
		}
	}
	return "", &SyntaxError{open, RuleAnnotation}
}

// simple reads a number, or a unit with prefix and exponent, into c.
func (p *parser) simple(c *part) error {
	run, err := p.run()
	if err != nil {
		return err
	}
	symbol := strings.TrimRight(run, "0123456789")
	if symbol == "" {
		return p.number(c, run)
	}
	var known bool
	if c.prefix, c.atom, known = p.symbols.find(symbol); !known {
		return &SyntaxError{c.offset, RuleSymbol}
	}
	return p.exponent(c, run[len(symbol):])
}

// run reads the bytes of a symbol or number.
func (p *parser) run() (string, error) {
	begin, open := p.at, -1
	for ; p.at < len(p.code); p.at++ {
		b := p.code[p.at]
		switch {
		case b == '[':
			if open >= 0 {
				return "", p.fail(RuleBracket)
			}
			open = p.at
		case b == ']':
			if open < 0 {
				return "", p.fail(RuleBracket)
			}
			open = -1
		case open >= 0 && !printable(b):
			return "", p.fail(RuleCharacter)
		case open < 0 && !symbolic(b):
			return p.code[begin:p.at], nil
		}
	}
	if open >= 0 {
		return "", &SyntaxError{open, RuleBracket}
	}
	return p.code[begin:], nil
}

func (p *parser) number(c *part, digits string) error {
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok || n.Sign() == 0 {
		return &SyntaxError{c.offset, RuleNumber}
	}
	c.number = new(big.Rat).SetInt(n)
	return nil
}

// exponent reads what follows a symbol: digits that its run ended with, or a sign
// and digits, or nothing.
func (p *parser) exponent(c *part, digits string) error {
	sign := ""
	if b := p.peek(); digits == "" && (b == '+' || b == '-') {
		sign = string(b)
		p.at++
		begin := p.at
		for p.peek() >= '0' && p.peek() <= '9' {
			p.at++
		}
		if digits = p.code[begin:p.at]; digits == "" {
			return p.fail(RuleExponent)
		}
	}
	if digits == "" {
		return nil
	}
	n, err := strconv.Atoi(sign + digits)
	if err != nil || n > maxExponent || n < -maxExponent {
		return &SyntaxError{c.offset, RuleSize}
	}
	c.exponent = n
	return nil
}

func printable(b byte) bool { return b >= 33 && b <= 126 }

// symbolic reports whether b can be part of a symbol outside brackets.
func symbolic(b byte) bool {
	return printable(b) && !strings.ContainsRune(`"()+-./=[]{}`, rune(b))
}
