package reference

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Fault is a reason why a file was not taken. Line counts from 1; of YAML it is the
// number of the entry.
type Fault struct {
	Line int
	What string
}

// Faults are all reasons that were found; callers show them and keep the list as it was.
type Faults []Fault

// maxShown bounds the faults that an error's text has.
const maxShown = 20

// Error lists the first faults.
func (f Faults) Error() string {
	var b strings.Builder
	for i, one := range f {
		if i == maxShown {
			fmt.Fprintf(&b, "; and %d more", len(f)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "line %d: %s", one.Line, one.What)
	}
	return b.String()
}

// Unwrap returns the problem to send: reference data is about no person, so its faults
// may be shown whole.
func (f Faults) Unwrap() error { return problem.New(problem.Invalid, f.Error()) }

// Add notes a fault.
func (f *Faults) Add(line int, format string, args ...any) {
	*f = append(*f, Fault{line, fmt.Sprintf(format, args...)})
}

// Err returns f as an error, nil without a fault.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}
