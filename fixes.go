package main

import (
	_ "embed"
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// guide is the guide for researchers. Its table of refusals says what to change: the
// commands, the Python SDK and whoever reads it get the same words.
//
//go:embed deploy/docs/researcher.md
var guide string

// fixRow is a line of the table: a rule or several, and what to change.
var (
	fixRow  = regexp.MustCompile("(?m)^\\| (`[a-z].*?) \\| (.*) \\|$")
	fixRule = regexp.MustCompile("`(.*?)`")
)

// fixes has what to change by the rule that refused.
var fixes = sync.OnceValue(func() map[string]string {
	_, table, _ := strings.Cut(guide, "\n## Refused: what to change\n")
	table, _, _ = strings.Cut(table, "\n## ")
	list := make(map[string]string)
	for _, row := range fixRow.FindAllStringSubmatch(table, -1) {
		for _, rule := range fixRule.FindAllStringSubmatch(row[1], -1) {
			list[rule[1]] = strings.ReplaceAll(row[2], "`", "")
		}
	}
	return list
})

// fixesFor says what to change about an error, a sentence for each rule that refused.
func fixesFor(err error) []string {
	var list []string
	if p := new(problem.Error); errors.As(err, &p) && fixes()[p.Rule] != "" {
		list = append(list, fixes()[p.Rule])
	}
	if w := (withheldError{}); errors.As(err, &w) {
		for _, rule := range w.rules {
			if fix := fixes()[rule]; fix != "" {
				list = append(list, rule+": "+fix)
			}
		}
	}
	return list
}

// withheldError says that nothing was released, and by which rules nodes refused.
type withheldError struct {
	reason string
	rules  []string // none if the answer itself, which was printed, says what to change
}

func (e withheldError) Error() string { return "nothing was released: " + e.reason }
