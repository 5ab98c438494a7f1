package fhir

import (
	"errors"
	"strconv"
	"strings"
)

// Rule names what a record broke. The values are stable: operators filter by them.
type Rule string

const (
	RuleMalformedJSON       Rule = "malformed-json"       // not JSON by RFC 8259
	RuleTruncated           Rule = "truncated"            // the input ended inside a value
	RuleTooLarge            Rule = "too-large"            // over a limit of Options
	RuleTooDeep             Rule = "too-deep"             // nested deeper than Options.MaxDepth
	RuleDuplicateKey        Rule = "duplicate-key"        // an object names one key twice
	RuleInvalidUTF8         Rule = "invalid-utf8"         // not UTF-8, or an escaped lone surrogate
	RuleForbiddenCharacter  Rule = "forbidden-character"  // U+0000, which FHIR forbids and PostgreSQL cannot hold
	RuleWrongType           Rule = "wrong-type"           // for example a number where FHIR has a string
	RuleMissingField        Rule = "missing-field"        // a field without which the record says nothing
	RuleInvalidTime         Rule = "invalid-time"         // not a FHIR date, dateTime or instant
	RuleInvalidNumber       Rule = "invalid-number"       // a decimal beyond a float64
	RuleInvalidID           Rule = "invalid-id"           // an id that FHIR does not allow
	RuleInvalidReference    Rule = "invalid-reference"    // a reference in none of FHIR's forms
	RuleUnresolvedReference Rule = "unresolved-reference" // nothing in the bundle or import answers it
	RuleUnknownResource     Rule = "unknown-resource"     // resourceType is not a type's name
	RuleUnsupportedBundle   Rule = "unsupported-bundle"   // a Bundle.type this package does not read
	RuleCorruptGzip         Rule = "corrupt-gzip"         // the gzip stream is damaged
	RuleGzipExpansion       Rule = "gzip-expansion"       // expands beyond Options.MaxExpansion
)

// Problem reports one record, or the rest of an input, that could not be used. It is
// safe to log and to show to operators: it holds no byte of the input.
type Problem struct {
	Rule Rule
	Line int // line on which the record begins, from 1

	// Path leads to the fault, for example entry[17].resource.code. Names
	// this package does not read appear as *, as a name might be data.
	Path string

	// Detail is one of this package's own phrases, such as "want string".
	Detail string
}

// Error returns the rule, place and detail.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString("fhir: ")
	b.WriteString(string(p.Rule))
	b.WriteString(" at line ")
	b.WriteString(strconv.Itoa(p.Line))
	if p.Path != "" {
		b.WriteString(", ")
		b.WriteString(p.Path)
	}
	if p.Detail != "" {
		b.WriteString(": ")
		b.WriteString(p.Detail)
	}
	return b.String()
}

// AsProblem returns the Problem in err, and false for an error that ends the input.
func AsProblem(err error) (*Problem, bool) {
	var p *Problem
	ok := errors.As(err, &p)
	return p, ok
}

// joinPath puts a path found inside a record behind where the record is.
func joinPath(base, inner string) string {
	switch {
	case base == "":
		return inner
	case inner == "":
		return base
	case inner[0] == '[':
		return base + inner
	}
	return base + "." + inner
}
