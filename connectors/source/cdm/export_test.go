package cdm

// NewKeys returns the set of keys of a file, with room for most words of 64.
func NewKeys(most int) func(key int64) (known, full bool) { return newKeys(most).add }
