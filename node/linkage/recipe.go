package linkage

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Recipe says which fields, in which form, make one value of a record. Two records with
// an equal value of one recipe are held to be about one person. Recipes are a closed
// list: sites that link must mean the same by each, and every further one costs
// precision. deploy/docs/linkage.md has what each finds.
type Recipe uint8

// The recipes. A record that lacks a field of one has no value of it.
const (
	ByID           Recipe = iota // the national identifier
	ByNamesBirth                 // first given name and family name in either order, date of birth
	BySoundsBirth                // the names by sound (Soundex) in either order, date of birth
	ByNamesAddress               // the names in either order, postcode and house number: for a wrong date
	ByBirthAddress               // given name by sound, date of birth, postcode and house number: for a new family name

	recipes = iota
)

var recipeNames = [recipes]string{"id", "names-birth", "sounds-birth", "names-address", "birth-address"}

// Recipes returns all recipes.
func Recipes() []Recipe {
	list := make([]Recipe, recipes)
	for i := range list {
		list[i] = Recipe(i)
	}
	return list
}

// String returns the recipe's name in settings and files.
func (r Recipe) String() string {
	if int(r) < len(recipeNames) {
		return recipeNames[r]
	}
	return fmt.Sprintf("recipe %d", uint8(r))
}

// ParseRecipes reads names with commas between them.
func ParseRecipes(text string) ([]Recipe, error) {
	var list []Recipe
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(recipeNames[:], strings.TrimSpace(name))
		if i < 0 || slices.Contains(list, Recipe(i)) {
			return nil, fmt.Errorf("recipe %q: want each once of %s", name, strings.Join(recipeNames[:], ", "))
		}
		list = append(list, Recipe(i))
	}
	return list, nil
}

// valueDomain separates what tokens are made of from everything else, and the normal
// forms of one version from those of another: change it with them.
const valueDomain = "trialmesh/linkage/v1/"

// Value returns the record's value, nil if it has none. It identifies a person as well
// as the fields do: only a token of it leaves the site.
func (r Recipe) Value(of *Record) []byte {
	given, _, _ := strings.Cut(of.values[GivenName], " ")
	family, birth := of.values[FamilyName], of.values[BirthDate]
	if !isDate(birth) {
		birth = ""
	}
	address := both(of.values[Postcode], of.values[HouseNumber])
	var value string
	switch r {
	case ByID:
		value = of.values[NationalID]
	case ByNamesBirth:
		value = both(eitherOrder(given, family), birth)
	case BySoundsBirth:
		value = both(eitherOrder(soundex(given), soundex(family)), birth)
	case ByNamesAddress:
		value = both(eitherOrder(given, family), address)
	case ByBirthAddress:
		value = both(both(soundex(given), birth), address)
	}
	if value == "" {
		return nil
	}
	return []byte(valueDomain + r.String() + "\x00" + value)
}

func eitherOrder(a, b string) string { return both(min(a, b), max(a, b)) }

// Exact links the records of two lists or, where b is nil, of one, that have an equal
// value of at least one recipe. It returns the pairs by A, then B, and how many values
// so many records share that they were passed over.
func Exact(a, b []Record, by []Recipe) (pairs []Pair, skipped int) {
	values := func(records []Record) *keyed {
		return &keyed{len(records), func(pass, row int) string { return string(by[pass].Value(&records[row])) }}
	}
	if b == nil {
		return newBlocks(len(by), values(a), nil).exact()
	}
	return newBlocks(len(by), values(a), values(b)).exact()
}

// exact takes every pair.
func (s *blocks) exact() (pairs []Pair, skipped int) {
	for i, j := range s.pairs() {
		pairs = append(pairs, Pair{i, j, 1})
	}
	sortPairs(pairs)
	return pairs, s.skipped
}

// Token stands for a value of a recipe where the value must not go: the first half of
// an output of package federation/oprf. The zero Token is none. It does not print: its
// bytes are for the file that goes to the party that compares.
type Token [32]byte

// Format prints a fixed text whatever the verb.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "token:redacted") }

// MarshalText always fails; it also keeps JSON and log handlers from the bytes.
func (Token) MarshalText() ([]byte, error) { return nil, errMustNotLeave }

// ExactTokens is [Exact] for the tokens of rows, the same recipes in the same order in
// each row.
func ExactTokens(a, b [][]Token) (pairs []Pair, skipped int) {
	of := func(rows [][]Token) *keyed {
		return &keyed{len(rows), func(pass, row int) string {
			if pass >= len(rows[row]) || rows[row][pass] == (Token{}) {
				return ""
			}
			return string(rows[row][pass][:])
		}}
	}
	width := 0
	for _, row := range a {
		width = max(width, len(row))
	}
	return newBlocks(width, of(a), of(b)).exact()
}
