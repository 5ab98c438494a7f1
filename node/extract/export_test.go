package extract

import "github.com/trialmesh/trialmesh/localstore/omop"

// Pseudonym is that of a person among numbers that are taken.
func Pseudonym(k Key, p omop.PersonID, taken func(int64) bool) int64 {
	return newDisguise(k, Dates{}).pseudonym(p, taken)
}

// Days is by how many days a person's dates are moved.
func Days(k Key, d Dates, p omop.PersonID) int { return int(newDisguise(k, d).days(p)) }
