package linkage

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// DateOrder is how a site writes dates with slashes.
type DateOrder uint8

// The orders. A date that begins with the year goes on with the month, and one with
// dots or hyphens that ends in it begins with the day, whatever the order.
const (
	NoOrder    DateOrder = iota // dates with slashes stay as they are and make no token
	DayFirst                    // 31/12/1999
	MonthFirst                  // 12/31/1999
)

// maxValue is how many runes of a value are kept.
const maxValue = 64

// Normalize returns a value in the form in which it is compared, "" if it says
// nothing. Letters are decomposed (NFKD) and lose their marks and their case; letters
// that no decomposition takes apart become what people without them type (ø o, ß ss,
// ł l). Apostrophes vanish, other punctuation parts words. At most 64 letters are kept.
//
//   - Names lose titles and particles (dr, van, de la, bin, …) where something is
//     left. Family names are written as one word: "Mc Carthy-Lee" is "mccarthylee".
//   - Dates become 1999-12-31, or what digits there are if they are no date.
//   - Sex becomes f, m, x or "" for unknown.
//   - Numbers (house, postcode, id, phone) keep letters and digits only, phones their
//     digits.
//   - Placeholders (unknown, n/a, 0000, 99999999, …) say nothing.
func Normalize(f Field, text string, order DateOrder) string {
	if f == BirthDate {
		return normalDate(text, order)
	}
	words := strings.Fields(plain(text))
	if isPlaceholder(strings.Join(words, " ")) || isFiller(strings.Join(words, "")) {
		return ""
	}
	switch f {
	case GivenName:
		return cut(strings.Join(without(words, titles), " "))
	case FamilyName:
		return cut(strings.Join(without(without(words, titles), particles), ""))
	case Sex:
		return normalSex(strings.Join(words, ""))
	case HouseNumber, Postcode, NationalID:
		return cut(strings.Join(words, ""))
	case Phone:
		return cut(strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, strings.Join(words, "")))
	}
	return cut(strings.Join(words, " "))
}

// letters are those that NFKD leaves whole.
var letters = strings.NewReplacer("ß", "ss", "ø", "o", "æ", "ae", "œ", "oe", "đ", "d", "ð", "d", "þ", "th", "ł", "l", "ħ", "h", "ı", "i", "ŋ", "n", "ς", "σ")

// plain returns text in small letters without marks, with blanks for punctuation.
func plain(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r): // marks, and what is not seen
		case r == '\'' || r == '’' || r == '`' || r == 'ʼ' || r == '´':
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mc, r):
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteByte(' ')
		}
	}
	return letters.Replace(b.String())
}

func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c != ' ' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

var (
	titles    = []string{"dr", "prof", "mr", "mrs", "ms", "miss", "herr", "frau", "sir", "jr", "sr"}
	particles = []string{"van", "von", "vom", "zu", "zur", "der", "den", "de", "del", "della", "di", "da", "do", "dos", "das", "du", "la", "le", "el", "al", "bin", "ibn", "ten", "ter", "st", "saint"}
)

// without drops the words of list, unless nothing would be left.
func without(words, list []string) []string {
	kept := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(list, w) })
	if len(kept) == 0 {
		return words
	}
	return kept
}

func normalSex(word string) string {
	switch word {
	case "f", "female", "w", "weiblich", "woman", "2":
		return "f"
	case "m", "male", "mannlich", "man", "1":
		return "m"
	case "x", "d", "o", "other", "diverse", "divers":
		return "x"
	}
	return ""
}

// placeholders leave out what is also somebody's name (Null, Na, Test).
var placeholders = []string{"", "unknown", "not known", "unk", "n a", "missing", "unbekannt", "inconnu", "desconocido"}

func isPlaceholder(words string) bool { return slices.Contains(placeholders, words) }

// isFiller reports whether a value is four or more of only zeros or nines.
func isFiller(word string) bool {
	return len(word) >= 4 && (strings.Trim(word, "0") == "" || strings.Trim(word, "9") == "")
}

// cut keeps the first maxValue runes.
func cut(text string) string {
	if len(text) <= maxValue {
		return text
	}
	n := 0
	for i := range text {
		if n == maxValue {
			return text[:i]
		}
		n++
	}
	return text
}
