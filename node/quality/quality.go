// Package quality checks mapped rows for what cannot be true.
//
// Start from [Checker.Check], which marks rows of a batch and counts findings by
// rule. A finding is only counted (log), marks the row as an outlier that is kept
// and counted in answers (flag), or marks it invalid, so that it is kept and left
// out of answers (reject). Nothing is ever dropped here, and no finding repeats a
// value.
//
// Checks that need to know a person's birth and death see the persons whose
// records passed through the same Checker before, one per file.
package quality

import (
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

// Rule names a finding. The names are stable: operators filter by them.
type Rule string

// The rules and their severities.
const (
	Impossible     Rule = "impossible-value"  // reject: outside what a living person can have
	Implausible    Rule = "implausible-value" // flag: outside what is seen outside of emergencies
	UnknownUnit    Rule = "unknown-unit"      // log: a number with a unit that the vocabulary does not have
	NoUnit         Rule = "no-unit"           // log: a number without a unit where the variable has one
	WrongUnit      Rule = "wrong-unit"        // reject: a unit of another kind than the variable's
	BeforeBirth    Rule = "before-birth"      // reject
	AfterDeath     Rule = "after-death"       // reject: more than Grace after death
	InFuture       Rule = "in-future"         // reject: more than a day after it was stored
	EndBeforeStart Rule = "end-before-start"  // flag
	Duplicate      Rule = "duplicate"         // log: the same fact under another key
)

// Grace is how many days after death an event may be dated: records are signed and
// specimens examined later. Source: OHDSI DataQualityDashboard, check
// plausibleBeforeDeath, 60 days.
const Grace = 60

// maxPersons bounds the persons that a Checker remembers, some 100 bytes each.
// Of further ones birth and death are not checked.
const maxPersons = 1_000_000

// life is when a person lived; death is never for the living.
type life struct{ birth, death omop.Date }

// never is after every date of the store.
const never = omop.Date(1<<31 - 1)

// Checker checks the batches of one file. It is not safe for concurrent use.
type Checker struct {
	tomorrow  omop.Date
	variables *variable.List
	lives     map[omop.Key]life
}

// New returns a Checker for a file that is loaded now, whose values are checked by the
// given variables.
func New(now time.Time, variables *variable.List) *Checker {
	return &Checker{tomorrow: sqldb.DateOf(now.UTC()) + 1, variables: variables, lives: map[omop.Key]life{}}
}
