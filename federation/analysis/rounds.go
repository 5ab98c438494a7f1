package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/trialmesh/trialmesh/protocol/canonical"
)

// MaxRounds bounds the rounds of one question: each is a sum about the same persons.
const MaxRounds = 40

// MaxNumbers bounds the numbers of one round's vector, 3 words each.
const MaxNumbers = 20_000

// Rounds is a statistical method that takes one masked sum over the sites, or
// several, each at a state that follows from the sums before. S is the method's
// public state: exported fields of finite numbers, strings and slices of them, which
// encoding/json writes and reads back unchanged. All methods are pure functions.
// DESIGN.md is the guide for whoever writes one.
type Rounds[S any] interface {
	// Columns declares what the method reads of a person. Rows with a missing value
	// in any of them are left out before Site sees the frame, and counted.
	Columns() []Column

	// Parameters is how many numbers are estimated of one view; the release gate compares
	// it with the number of persons.
	Parameters() int

	// Start returns the state of the first round.
	Start() S

	// Numbers returns how many numbers a site sums up at state, 0 to MaxNumbers.
	Numbers(state S) int

	// Site adds up one site's numbers at state, over the rows of frame, which may be
	// none. It fails only for what another site would fail for too.
	Site(state S, frame *Frame, sums *Sums) error

	// Next turns the pooled numbers into the next state, or into the result if it is
	// not nil. It fails with an error that wraps ErrInconsistent for what honest
	// sites cannot send, and with a [NoResult] if the method has no answer for data
	// like these.
	Next(state S, pooled Pooled) (next S, result any, err error)
}

// NoResult says, for the public result, why a method has no answer: "the iteration
// did not converge in 25 rounds".
type NoResult string

func (e NoResult) Error() string { return string(e) }

// Sums adds up one site's numbers of a round. The additions are exact, so that
// neither the order of the rows nor how they are split over sites changes a bit of
// what comes out: only what one row adds is rounded, to a multiple of 2^-64.
type Sums struct {
	numbers []number
	broken  bool
}

// Add adds v to number i. A value that is not finite or 2^62 or more makes the round
// fail with [ErrNumber].
func (s *Sums) Add(i int, v float64) {
	if !(math.Abs(v) < MaxNumber) { // also NaN
		s.broken = true
		return
	}
	n := s.numbers[i].plus(toNumber(v))
	s.broken = s.broken || !n.fits()
	s.numbers[i] = n
}

// Len returns how many numbers there are.
func (s *Sums) Len() int { return len(s.numbers) }

// Format hides the sums.
func (Sums) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sums:redacted") }

// MarshalJSON refuses.
func (Sums) MarshalJSON() ([]byte, error) {
	return nil, errors.New("analysis: Sums must not leave the site unmasked")
}

// Pooled is the sum of a round over the sites.
type Pooled struct {
	Sites   int   // sites that were added
	Rows    int64 // rows without a missing value
	Omitted int64 // rows left out for one
	Numbers []float64
}

// State is a method's state between two rounds: canonical JSON, public.
type State = json.RawMessage

// Step is what follows from a round: the next state, or the result.
type Step struct {
	State  State
	Result any // nil until the last round
}

// Iteration is a method in rounds as node and hub see it: states are canonical JSON,
// sums are words to be masked. [Iterate] makes it of a [Rounds].
type Iteration interface {
	Columns() []Column
	Parameters() int

	// Views returns the sets of columns that are summed together. Each sum is over the rows
	// without a missing value in the columns of one view.
	Views() [][]Column

	// Persons returns how many persons the rows of a frame are of: as many as there are rows,
	// unless the method takes several of each person.
	Persons(*Frame) int

	// Times names the columns that say how long persons were watched and whether until an
	// event, and are not multiplied with another's values.
	Times() []string

	// Power is the highest of a column's distances from its mean that is summed.
	Power() float64

	// Varied says in how many sets of a frame's rows the covariates of a likelihood within
	// sets vary; nil for another method. The frame has no missing values.
	Varied(*Frame) ([]Varied, error)

	// Start returns the state of the first round.
	Start() (State, error)

	// Words returns the length of a site's vector at a state.
	Words(State) (int, error)

	// Site returns a site's vector at a state. The frame may have further columns.
	Site(State, *Frame) ([]uint64, error)

	// Next turns the sum over sites into the next state or the result.
	Next(s State, sum []uint64, sites int) (Step, error)
}

// Iterate returns m with its states and sums in the form that travels.
func Iterate[S any](m Rounds[S]) Iteration { return iteration[S]{m} }

type iteration[S any] struct{ Rounds[S] }

// rowWords are the words of a vector before its numbers: rows, and rows left out.
const rowWords = 2

func (it iteration[S]) Start() (State, error) { return canonical.Marshal(it.Rounds.Start()) }

func (it iteration[S]) Words(raw State) (int, error) {
	_, n, err := it.at(raw)
	return rowWords + numberWords*n, err
}

// at reads a state and says how many numbers it asks for.
func (it iteration[S]) at(raw State) (S, int, error) {
	var state S
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&state); err != nil {
		return state, 0, errors.New("analysis: the state of the round is malformed")
	}
	n := it.Numbers(state)
	if n < 0 || n > MaxNumbers {
		return state, 0, fmt.Errorf("analysis: %d numbers in a round, want 0 to %d", n, MaxNumbers)
	}
	return state, n, nil
}

func (it iteration[S]) Site(raw State, f *Frame) ([]uint64, error) {
	state, n, err := it.at(raw)
	if err != nil {
		return nil, err
	}
	complete, err := it.frame(f)
	if err != nil {
		return nil, err
	}
	sums := &Sums{numbers: make([]number, n)}
	if err := it.Rounds.Site(state, complete, sums); err != nil {
		return nil, err
	}
	if sums.broken {
		return nil, ErrNumber
	}
	return encodeSums(complete.Len(), f.Len()-complete.Len(), sums.numbers), nil
}

// encodeSums returns a site's vector: rows, rows left out, and numbers.
func encodeSums(rows, omitted int, numbers []number) []uint64 {
	words := make([]uint64, 0, rowWords+numberWords*len(numbers))
	words = append(words, uint64(rows), uint64(omitted))
	for _, number := range numbers {
		limbs := number.limbs()
		words = append(words, limbs[:]...)
	}
	return words
}

// method returns the method itself, for those that have another form.
func (it iteration[S]) method() any { return it.Rounds }

// keeper is a [Rounds] that sees the rows with a missing value too, as NaN, because it
// takes each of its views over those who have it.
type keeper interface {
	KeepsMissing() bool
	Views() [][]Column
}

// timed is a [Rounds] with columns of times.
type timed interface{ Times() []string }

func (it iteration[S]) Times() []string {
	if t, ok := it.Rounds.(timed); ok {
		return t.Times()
	}
	return nil
}

// Varied is in how many sets of rows a covariate varies, of those that say anything of it.
type Varied struct {
	Covariate string
	Sets      int
}

// matched is a [Rounds] with a likelihood within sets.
type matched interface {
	Varied(*Frame) ([]Varied, error)
}

func (it iteration[S]) Varied(f *Frame) ([]Varied, error) {
	if w, ok := it.Rounds.(matched); ok {
		return w.Varied(f)
	}
	return nil, nil
}

// powered is a [Rounds] that shows sums of powers.
type powered interface{ Power() float64 }

func (it iteration[S]) Power() float64 {
	if p, ok := it.Rounds.(powered); ok {
		return p.Power()
	}
	return 2
}

// personal is a [Rounds] that takes several rows of a person, and the column that says whose
// they are.
type personal interface{ person() string }

func (it iteration[S]) Persons(f *Frame) int {
	p, ok := it.Rounds.(personal)
	if !ok {
		return f.Len()
	}
	of := make(map[float64]bool)
	for _, v := range f.Values(p.person()) {
		of[v] = true
	}
	return len(of)
}

// Views are all columns together, unless the method takes them one by one.
func (it iteration[S]) Views() [][]Column {
	if k, ok := it.Rounds.(keeper); ok && k.KeepsMissing() {
		return k.Views()
	}
	return [][]Column{it.Columns()}
}

// frame returns what the method sees of a site's frame.
func (it iteration[S]) frame(f *Frame) (*Frame, error) {
	if k, ok := it.Rounds.(keeper); ok && k.KeepsMissing() {
		return f.pick(it.Columns())
	}
	complete, _, err := f.Complete(it.Columns())
	return complete, err
}

func (it iteration[S]) Next(raw State, sum []uint64, sites int) (Step, error) {
	state, n, err := it.at(raw)
	if err != nil {
		return Step{}, err
	}
	pooled, err := pool(sum, n, sites)
	if err != nil {
		return Step{}, err
	}
	next, result, err := it.Rounds.Next(state, pooled)
	switch {
	case err != nil:
		return Step{}, err
	case result != nil:
		return final(result)
	}
	out, err := canonical.Marshal(next)
	return Step{State: out}, finiteOr(err)
}

// final ends a method with a result, which has to have a form that travels.
func final(result any) (Step, error) {
	if _, err := json.Marshal(result); err != nil {
		return Step{}, finiteOr(err)
	}
	return Step{Result: result}, nil
}

// finiteOr makes a number without a form in JSON the end of a method: sums that no honest sites
// send lead there, and trying again would not change them.
func finiteOr(err error) error {
	var value *json.UnsupportedValueError
	if errors.As(err, &value) {
		return NoResult("a number grew beyond all bounds: these sums have no answer")
	}
	return err
}

// pool reads the sum of the words of several sites.
func pool(sum []uint64, numbers, sites int) (Pooled, error) {
	if sites < 1 || sites > MaxSites {
		return Pooled{}, fmt.Errorf("%d sites, want 1 to %d", sites, MaxSites)
	}
	if len(sum) != rowWords+numberWords*numbers {
		return Pooled{}, fmt.Errorf("%d words, want %d", len(sum), rowWords+numberWords*numbers)
	}
	if sum[0] > MaxPersons || sum[1] > MaxPersons {
		return Pooled{}, ErrInconsistent
	}
	p := Pooled{Sites: sites, Rows: int64(sum[0]), Omitted: int64(sum[1]), Numbers: make([]float64, numbers)}
	for i := range p.Numbers {
		from := rowWords + numberWords*i
		v, err := fromLimbs(sum[from:from+numberWords], sites)
		if err != nil {
			return Pooled{}, fmt.Errorf("number %d: %w", i, err)
		}
		p.Numbers[i] = v
	}
	return p, nil
}

// RowsOf returns the number of complete rows in a vector or a sum of vectors.
func RowsOf(words []uint64) uint64 { return words[0] }
