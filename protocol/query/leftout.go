package query

// LeftOut says how many persons, or rows, a result leaves out.
type LeftOut struct {
	// Omitted is how many; absent if they are some, but fewer than may be shown.
	Omitted *int64 `json:"omitted,omitempty"`

	// OmittedBelow is there in its place: they are one at least, and fewer than this.
	OmittedBelow int64 `json:"omittedBelow,omitempty"`
}

// Omitting says of a result that it leaves out n.
func Omitting(n int64) LeftOut { return LeftOut{Omitted: &n} }

// HideFew takes the number away if it is one to least-1. Who lies outside the range of a column is left
// out, so it is that of a tail of the asker's choice.
func (l *LeftOut) HideFew(least int64) {
	if n := l.Omitted; n != nil && 0 < *n && *n < least {
		l.Omitted, l.OmittedBelow = nil, least
	}
}
