package circuits

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/consensys/gnark/frontend"
)

// The kinds of circuit about one person or one parcel.
const (
	enrollmentKind  kind = "enrollment"
	eligibilityKind kind = "eligibility"
	quizKind        kind = "quiz"
	custodyKind     kind = "custody"
)

// sizes of a circuit about one person or one parcel, 0 where it has fewer.
type sizes [3]int

// statement is what there is to know of one kind of them.
type statement struct {
	limits sizes // the greatest of each size; the least is 1
	inputs int
	make   func(sizes) frontend.Circuit
}

// statementOf returns the kind's statement, nil if it is of another file.
func statementOf(k kind) *statement {
	switch k {
	case enrollmentKind:
		return &statement{sizes{maxDepth}, len(EnrollmentPublic{}.Words()), func(n sizes) frontend.Circuit { return newEnrollmentCircuit(n[0]) }}
	case eligibilityKind:
		return &statement{sizes{maxDepth}, len(EligibilityPublic{}.Words()), func(n sizes) frontend.Circuit { return newEligibilityCircuit(n[0]) }}
	case quizKind:
		return &statement{sizes{MaxQuestions}, len(QuizPublic{}.Words()), func(n sizes) frontend.Circuit { return &quizCircuit{questions: n[0]} }}
	case custodyKind:
		return &statement{sizes{maxDepth, maxDepth, MaxReadings}, len(CustodyPublic{}.Words()), func(n sizes) frontend.Circuit { return newCustodyCircuit(n) }}
	}
	return nil
}

// Enrollment names the circuit that enrolls a person once. depth counts from a
// consent leaf to the root of [ConsentTree], 1 to 16; 12 holds 16,777,216 consents.
func Enrollment(depth int) Circuit { return Circuit{kind: enrollmentKind, sizes: sizes{depth}} }

// Eligibility names the circuit that proves a criterion met. depth is that of
// the tree over accepted issuers, 1 to 16; 5 holds 1,024.
func Eligibility(depth int) Circuit { return Circuit{kind: eligibilityKind, sizes: sizes{depth}} }

// Quiz names the circuit that proves a consent signed and its quiz passed.
func Quiz(questions int) Circuit { return Circuit{kind: quizKind, sizes: sizes{questions}} }

// Custody names the circuit of a hand-over: the depths of the trees over notes
// and over keepers, 1 to 16, and the number of temperature readings.
func Custody(notes, keepers, readings int) Circuit {
	return Circuit{kind: custodyKind, sizes: sizes{notes, keepers, readings}}
}

// of reports a circuit of another kind or of sizes out of bounds.
func (c Circuit) of(k kind) error {
	if c.kind != k {
		return fmt.Errorf("circuit %s is of another kind", c)
	}
	return c.Validate()
}

// These tell the statements apart.

func (c Circuit) IsEnrollment() bool  { return c.kind == enrollmentKind }
func (c Circuit) IsEligibility() bool { return c.kind == eligibilityKind }
func (c Circuit) IsQuiz() bool        { return c.kind == quizKind }
func (c Circuit) IsCustody() bool     { return c.kind == custodyKind }

// name writes the sizes of a statement's circuit.
func (s *statement) name(c Circuit) string {
	var parts []string
	for i, limit := range s.limits {
		if limit > 0 {
			parts = append(parts, strconv.Itoa(c.sizes[i]))
		}
	}
	return string(c.kind) + "-" + strings.Join(parts, "x")
}

func (s *statement) parse(k kind, text string) (Circuit, error) {
	c := Circuit{kind: k}
	n, err := parseSizes(text, strings.Count(s.name(c), "0"))
	if err != nil {
		return c, fmt.Errorf("circuit name: %w", err)
	}
	copy(c.sizes[:], n)
	return c, nil
}

func (s *statement) validate(c Circuit) error {
	for i, n := range c.sizes {
		if limit := s.limits[i]; n > limit || n < min(1, limit) {
			return fmt.Errorf("circuit %s: size %d is not 1 to %d", c, i+1, limit)
		}
	}
	return nil
}
