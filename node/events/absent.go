package events

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// NoTableError says that a source has no such table or column, which is not the same as one
// without rows: a question about it cannot be answered there and is refused by its name.
type NoTableError struct {
	Name string // of the domain, or of the column
}

// Error names what is not there.
func (e NoTableError) Error() string { return fmt.Sprintf("the site's data have no %s", e.Name) }

// ErrTooMany refuses to read more events at once than there is memory for.
var ErrTooMany = problem.Refusal("query.work", "the definition asks for more events at once than this site reads: give its criteria concept sets, of fewer concepts")
