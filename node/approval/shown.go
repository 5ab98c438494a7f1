package approval

// Shown is what a person who decides sees of one request for approval, besides the [Item].
// It is made when it is looked at, and stays at the site.
type Shown struct {
	Reading
	History

	// Cells are what would leave the site, at the gate before the release.
	Cells []Cell
}
