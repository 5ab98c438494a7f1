package linkage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/node/linkage"
)

func person(given, family, birth, postcode string) linkage.Record {
	return linkage.NewRecord(map[linkage.Field]string{
		linkage.GivenName: given, linkage.FamilyName: family, linkage.BirthDate: birth, linkage.Postcode: postcode,
	}, linkage.NoOrder)
}

// strangers are records of different people.
func strangers(n int) []linkage.Record {
	list := make([]linkage.Record, n)
	for i := range list {
		list[i] = person(word(7*i+1), word(11*i+5), fmt.Sprintf("19%02d%02d%02d", i%97, i%12+1, i%27+1), fmt.Sprint(1000+37*i%997))
	}
	return list
}

func word(n int) string {
	var b strings.Builder
	for n += 999; n > 0; n /= 19 {
		b.WriteByte("bcdfghjklmnpqrstvwz"[n%19])
		b.WriteByte("aeiou"[n%5])
	}
	return b.String()
}

func TestLinkBetweenLists(t *testing.T) {
	t.Parallel()
	a := append(strangers(300), person("Lachlan", "Berry", "1999-02-19", "4814"), person("Kayla", "Harrington", "1915-06-12", "3465"))
	b := append(strangers(150), person("Berry", "Lachlan", "1999-02-19", "4814"), person("Kaila", "Harington", "1915-06-21", "3465"))
	found, err := linkage.Link(t.Context(), a, b, 0.9)
	require.NoError(t, err)
	require.Len(t, found.Pairs, 152)
	require.Equal(t, 150, found.Pairs[150].B, "names that changed places")
	require.Equal(t, 300, found.Pairs[150].A)
	require.Equal(t, 151, found.Pairs[151].B, "typing errors in each field")
}

func TestLinkFindsNobodyAmongStrangers(t *testing.T) {
	t.Parallel()
	found, err := linkage.Link(t.Context(), strangers(400), nil, 0.5)
	require.NoError(t, err)
	require.Empty(t, found.Pairs)
}

func TestLinkRefuses(t *testing.T) {
	t.Parallel()
	_, err := linkage.Link(t.Context(), strangers(20), nil, 0.9)
	require.ErrorIs(t, err, linkage.ErrTooFew)
	many := make([]linkage.Record, 200)
	for i := range many {
		many[i] = person("Anna", "Berry", "1999-02-19", "4814")
	}
	for _, threshold := range []float64{0, -1, 1.1} {
		_, err = linkage.Link(t.Context(), many, nil, threshold)
		require.ErrorContains(t, err, "threshold")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = linkage.Link(ctx, many, nil, 0.9)
	require.ErrorIs(t, err, context.Canceled)
}

func TestKeysThatTooManyShareArePassedOver(t *testing.T) {
	t.Parallel()
	list := make([]linkage.Record, 2100)
	for i := range list {
		list[i] = linkage.NewRecord(map[linkage.Field]string{linkage.NationalID: "home"}, linkage.NoOrder)
	}
	pairs, skipped := linkage.Exact(list, nil, []linkage.Recipe{linkage.ByID})
	require.Empty(t, pairs)
	require.Equal(t, 1, skipped)
}

func TestExactYieldsEachPairOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		letter := rapid.SampledFrom([]string{"", "a", "b"})
		draw := func(name string) []linkage.Record {
			list := make([]linkage.Record, rapid.IntRange(1, 12).Draw(t, name))
			for i := range list {
				list[i] = person(letter.Draw(t, "given"), letter.Draw(t, "family"), "19990101", letter.Draw(t, "postcode"))
			}
			return list
		}
		a, b := draw("a"), draw("b")
		pairs, _ := linkage.Exact(a, b, linkage.Recipes())
		got := make(map[[2]int]bool)
		for _, p := range pairs {
			require.False(t, got[[2]int{p.A, p.B}])
			got[[2]int{p.A, p.B}] = true
		}
		for i := range a {
			for j := range b {
				want := false
				for _, recipe := range linkage.Recipes() {
					x, y := recipe.Value(&a[i]), recipe.Value(&b[j])
					want = want || x != nil && bytes.Equal(x, y)
				}
				require.Equal(t, want, got[[2]int{i, j}])
			}
		}
	})
}

func TestOneToOne(t *testing.T) {
	t.Parallel()
	pairs := []linkage.Pair{{A: 0, B: 0, Score: 0.8}, {A: 0, B: 1, Score: 0.9}, {A: 1, B: 1, Score: 0.7}, {A: 2, B: 0, Score: 0.6}}
	require.Equal(t, []linkage.Pair{{A: 0, B: 1, Score: 0.9}, {A: 2, B: 0, Score: 0.6}}, linkage.OneToOne(pairs))
}

func TestValuesNeedTheirFields(t *testing.T) {
	t.Parallel()
	wrong := person("Anna", "Berry", "1999-13-19", "")
	require.Nil(t, linkage.ByNamesBirth.Value(&wrong), "a date that is none makes no token")
	require.Nil(t, linkage.ByID.Value(&wrong))
	anna, maria := person("Anna Maria", "Berry", "1999-02-19", ""), person("Anna", "Berry", "19.2.1999", "")
	require.Equal(t, linkage.ByNamesBirth.Value(&anna), linkage.ByNamesBirth.Value(&maria), "second given names do not count")
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	columns, err := linkage.ParseColumns("given=Vorname, family = Name ,birth=geboren")
	require.NoError(t, err)
	for _, text := range []string{
		"\ufeffID;VORNAME;name;geboren\n1;Anna;Berry;19.2.1999\n",
		"name\tvorname\tgeboren\nBerry\tAnna\t19990219\n",
		"name,vorname, geboren\n\" Berry\",Anna,1999-02-19\n",
	} {
		records, err := linkage.ReadCSV(strings.NewReader(text), columns, linkage.NoOrder)
		require.NoError(t, err)
		require.Equal(t, []linkage.Record{person("anna", "berry", "1999-02-19", "")}, records)
	}
	for text, want := range map[string]string{
		"":                                 "the file is empty",
		"name,vorname\n":                   `no column "geboren"`,
		"name,vorname,geboren\nBerry,x\n":  "line 2, column 1: wrong number of fields",
		"name,vorname,geboren\n\"Berry,\n": "line 2",
	} {
		_, err := linkage.ReadCSV(strings.NewReader(text), columns, linkage.NoOrder)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "Berry")
	}
	for text, want := range map[string]string{"nose": `field "nose": want one of given`, "given,given": "twice", "given=": "no column", "": `field ""`} {
		_, err := linkage.ParseColumns(text)
		require.ErrorContains(t, err, want)
	}
}

func TestRecordsDoNotPrint(t *testing.T) {
	t.Parallel()
	r := person("Anna", "Berry", "19990219", "4814")
	code := encode(t, linkage.Coding{}, []linkage.Record{r})[0]
	for _, secret := range []any{r, &r, code, &code, linkage.Token{1}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			require.Contains(t, fmt.Sprintf(verb, secret), "redacted")
		}
		_, err := json.Marshal(secret)
		require.Error(t, err)
		var text bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "record", secret)
		require.NotContains(t, text.String(), "berry")
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add("given,family\nAnna,Berry\n")
	f.Add("given;family\n\"Anna;Berry\n")
	f.Add("\ufeffgiven\tfamily\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		columns := map[linkage.Field]string{linkage.GivenName: "given", linkage.FamilyName: "family"}
		records, err := linkage.ReadCSV(strings.NewReader(text), columns, linkage.NoOrder)
		if err == nil {
			require.LessOrEqual(t, len(records), strings.Count(text, "\n")+strings.Count(text, "\r"))
		}
	})
}
