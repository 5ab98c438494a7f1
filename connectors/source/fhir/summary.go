package fhir

// Summary counts what one or more reads gave. Its zero value is ready to use.
type Summary struct {
	Decoded  map[string]int // records with a Resource, by type
	Raw      map[string]int // records without, by type; at most 200 types, the rest as "other"
	Problems map[Rule]int
}

// maxTypes bounds the labels that an input can make up. R4 has 148 types.
const maxTypes = 200

// Note counts one step of [Read]. An error that is no Problem is not counted.
func (s *Summary) Note(rec Record, err error) {
	if s.Problems == nil {
		*s = Summary{Decoded: map[string]int{}, Raw: map[string]int{}, Problems: map[Rule]int{}}
	}
	if p, ok := AsProblem(err); ok {
		s.Problems[p.Rule]++
		return
	}
	switch {
	case err != nil:
	case rec.Resource != nil:
		s.Decoded[rec.Type]++
	case s.Raw[rec.Type] == 0 && len(s.Raw) >= maxTypes:
		s.Raw["other"]++
	default:
		s.Raw[rec.Type]++
	}
}

// Records is the number of resources, decoded or not.
func (s *Summary) Records() int { return total(s.Decoded) + total(s.Raw) }

func total[K comparable](counts map[K]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
