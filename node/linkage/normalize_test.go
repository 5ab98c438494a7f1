package linkage_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/trialmesh/trialmesh/node/linkage"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field      linkage.Field
		text, want string
	}{
		{linkage.GivenName, "  José-María ", "jose maria"},
		{linkage.GivenName, "Dr. Anna", "anna"},
		{linkage.GivenName, "Zoe\u0308\u200b", "zoe"},
		{linkage.GivenName, "ＡＮＮＡ", "anna"},
		{linkage.GivenName, "Γιώργος", "γιωργοσ"},
		{linkage.GivenName, "unknown", ""},
		{linkage.GivenName, "N/A", ""},
		{linkage.GivenName, "Na", "na"},
		{linkage.FamilyName, "O'Brien", "obrien"},
		{linkage.FamilyName, "O’Brien", "obrien"},
		{linkage.FamilyName, "Mc Carthy-Lee", "mccarthylee"},
		{linkage.FamilyName, "van der Berg", "berg"},
		{linkage.FamilyName, "St. James", "james"},
		{linkage.FamilyName, "Le", "le"},
		{linkage.FamilyName, "Weiß", "weiss"},
		{linkage.FamilyName, "Łukasiewicz", "lukasiewicz"},
		{linkage.FamilyName, "Sørensen", "sorensen"},
		{linkage.FamilyName, "Null", "null"},
		{linkage.Sex, "Female", "f"},
		{linkage.Sex, "männlich", "m"},
		{linkage.Sex, "?", ""},
		{linkage.Postcode, "SW1A 1AA", "sw1a1aa"},
		{linkage.Postcode, "0000", ""},
		{linkage.NationalID, "943 476 5919", "9434765919"},
		{linkage.NationalID, "999-99-9999", ""},
		{linkage.NationalID, "99999999", ""},
		{linkage.NationalID, "999", "999"},
		{linkage.Phone, "+44 (0)20 7946-0018", "4402079460018"},
		{linkage.Street, "12, Tullaroop  St.", "12 tullaroop st"},
	} {
		require.Equal(t, c.want, linkage.Normalize(c.field, c.text, linkage.NoOrder), "%s %q", c.field, c.text)
	}
}

func TestNormalizeDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		order linkage.DateOrder
		want  string
	}{
		{"1999-12-31", linkage.NoOrder, "1999-12-31"},
		{" 19991231 ", linkage.NoOrder, "1999-12-31"},
		{"1999/2/3", linkage.MonthFirst, "1999-02-03"},
		{"1999-12-31T08:00:00Z", linkage.NoOrder, "1999-12-31"},
		{"3.2.1999", linkage.MonthFirst, "1999-02-03"},
		{"3/2/1999", linkage.DayFirst, "1999-02-03"},
		{"3/2/1999", linkage.MonthFirst, "1999-03-02"},
		{"3/2/1999", linkage.NoOrder, "321999"},
		{"19081309", linkage.NoOrder, "19081309"},
		{"2023-02-29", linkage.NoOrder, "20230229"},
		{"0001-01-01", linkage.NoOrder, "00010101"},
		{"99999999", linkage.NoOrder, ""},
		{"not known", linkage.NoOrder, ""},
	} {
		require.Equal(t, c.want, linkage.Normalize(linkage.BirthDate, c.text, c.order), c.text)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, text := range []string{"José van der Berg", "31.12.1999", "+44 20", "\xff\xfe", "ﷺ", strings.Repeat("Å", 99)} {
		f.Add(uint8(0), text)
		f.Add(uint8(linkage.BirthDate), text)
	}
	f.Fuzz(func(t *testing.T, field uint8, text string) {
		of := linkage.Field(field % 12)
		got := linkage.Normalize(of, text, linkage.DayFirst)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, utf8.RuneCountInString(got), 64)
		if of != linkage.BirthDate && utf8.ValidString(text) {
			require.Equal(t, got, linkage.Normalize(of, norm.NFD.String(text), linkage.DayFirst), "the form of Unicode does not matter")
			require.Equal(t, got, linkage.Normalize(of, " "+text+" ", linkage.DayFirst))
		}
	})
}
