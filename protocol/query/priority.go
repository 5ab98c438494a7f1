package query

// Priority says which of a researcher's own questions goes first. It weighs nothing
// against another researcher's.
type Priority string

// The priorities. An empty one is Normal.
const (
	Low    Priority = "low"
	Normal Priority = "normal"
	High   Priority = "high"
)

// Known reports whether p is one of the list.
func (p Priority) Known() bool { return p == Low || p == Normal || p == High || p == "" }

// Rank orders priorities: the higher goes first.
func (p Priority) Rank() int {
	switch p {
	case Low:
		return -1
	case High:
		return 1
	}
	return 0
}
