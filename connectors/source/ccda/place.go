package ccda

import "strconv"

// place is where a statement stands: section[Problems].entry[3].act.observation[1].
// Every name in it is one of this package's own.
type place string

// in is a place inside p.
func (p place) in(name string) place {
	if p == "" {
		return place(name)
	}
	return p + place("."+name)
}

// nth is the nth place of a name inside p, from 1.
func (p place) nth(name string, n int) place { return p.in(name + "[" + strconv.Itoa(n) + "]") }
