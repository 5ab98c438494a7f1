package linkage_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/node/linkage"
)

func TestCodesFollowSimilarity(t *testing.T) {
	t.Parallel()
	list := []linkage.Record{
		person("Lachlan", "Berry", "1999-02-19", "4814"),
		person("Lachlan", "Barry", "1999-02-19", "4814"),
		person("Kayla", "Harrington", "1915-06-12", "3465"),
		person("Lachlan", "Berry", "1998-02-19", "4814"),
		person("Anna", "Berry", "", ""),
	}
	dice := func(c linkage.Coding, i, j int) float64 {
		codes := encode(t, c, list)
		return linkage.Dice(&codes[i], &codes[j])
	}
	require.Equal(t, 1.0, dice(linkage.Coding{}, 0, 0))
	require.Greater(t, dice(linkage.Coding{}, 0, 1), 0.85)
	require.Less(t, dice(linkage.Coding{}, 0, 2), 0.6)
	require.Greater(t, dice(linkage.Coding{Salt: true}, 0, 1), 0.85)
	require.Less(t, dice(linkage.Coding{Salt: true}, 0, 3), 0.6, "another year, another code")
	require.Greater(t, dice(linkage.Coding{Flip: 0.05}, 0, 1), 0.7)
	require.True(t, encode(t, linkage.Coding{}, list)[4].IsZero(), "two fields are too few")
}

func TestCodesDependOnTheKey(t *testing.T) {
	t.Parallel()
	r := person("Lachlan", "Berry", "1999-02-19", "4814")
	var codes []linkage.Code
	for _, c := range []linkage.Coding{
		{Key: [32]byte{1}},
		{Key: [32]byte{2}},
		{Key: [32]byte{1}, Flip: 0.05, Noise: [32]byte{1}},
		{Key: [32]byte{1}, Flip: 0.05, Noise: [32]byte{2}},
	} {
		e, err := linkage.NewEncoder(c)
		require.NoError(t, err)
		code := e.Encode(&r)
		require.Equal(t, code, e.Encode(&r), "nothing can be averaged out")
		codes = append(codes, code)
	}
	require.Less(t, linkage.Dice(&codes[0], &codes[1]), 0.6)
	require.NotEqual(t, codes[2], codes[3], "each site has its own noise")
	for _, c := range []linkage.Coding{{}, {Key: [32]byte{1}, Flip: 0.3}, {Key: [32]byte{1}, Flip: -1}, {Key: [32]byte{1}, Flip: 0.1}} {
		_, err := linkage.NewEncoder(c)
		require.Error(t, err)
	}
}

func TestMatchFindsWhatComparingAllFinds(t *testing.T) {
	t.Parallel()
	d := readFebrl(t, "testdata/dataset1.csv.gz", febrlColumns)
	codes := encode(t, linkage.Coding{Flip: 0.02}, d.records[:200])
	var want []linkage.Pair
	for i := range 80 {
		for j := 80; j < 200; j++ {
			if s := linkage.Dice(&codes[i], &codes[j]); s >= 0.6 {
				want = append(want, linkage.Pair{A: i, B: j - 80, Score: s})
			}
		}
	}
	require.NotEmpty(t, want)
	got, err := linkage.Match(t.Context(), codes[:80], codes[80:], 0.6)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = linkage.Match(t.Context(), codes, nil, 0.5)
	require.ErrorContains(t, err, "threshold")
}

func FuzzParseCode(f *testing.F) {
	r := person("Lachlan", "Berry", "1999-02-19", "4814")
	f.Add(encode(f, linkage.Coding{}, []linkage.Record{r})[0].Text())
	f.Add("")
	f.Add(strings.Repeat("A", 171) + "=")
	f.Fuzz(func(t *testing.T, text string) {
		code, err := linkage.ParseCode(text)
		if err == nil {
			require.Equal(t, text, code.Text(), "one text for one code")
			require.Equal(t, text == "", code.IsZero())
		}
	})
}

func TestTokensLinkWhatValuesLink(t *testing.T) {
	t.Parallel()
	d := readFebrl(t, "testdata/dataset1.csv.gz", febrlColumns)
	by := linkage.Recipes()
	a, b := d.records[:5], d.records[5:10]
	same, _ := linkage.Exact(d.records, nil, by)
	for _, p := range same[:10] {
		a, b = append(a[:len(a):len(a)], d.records[p.A]), append(b[:len(b):len(b)], d.records[p.B])
	}
	key, err := linkage.NewTokenKey([32]byte{9})
	require.NoError(t, err)
	tokens := func(seed byte, records []linkage.Record) [][]linkage.Token {
		var question, answer bytes.Buffer
		require.NoError(t, linkage.BlindTokens(&question, [32]byte{seed}, records, by))
		asked := question.String()
		n, err := linkage.EvaluateTokens(&answer, &question, rand.Reader, key, 5*len(records))
		require.NoError(t, err)
		require.Greater(t, n, 3*len(records))
		list, err := linkage.FinishTokens(strings.NewReader(answer.String()), [32]byte{seed}, key.Public(), records, by)
		require.NoError(t, err)

		_, err = linkage.EvaluateTokens(&answer, strings.NewReader(asked), rand.Reader, key, n-1)
		require.ErrorContains(t, err, "more than")
		return list
	}
	want, _ := linkage.Exact(a, b, by)
	require.GreaterOrEqual(t, len(want), 10)
	got, _ := linkage.ExactTokens(tokens(1, a), tokens(2, b))
	require.Equal(t, want, got)
}

func TestFinishTokensRefuses(t *testing.T) {
	t.Parallel()
	records := []linkage.Record{person("Lachlan", "Berry", "1999-02-19", "4814")}
	by := []linkage.Recipe{linkage.ByNamesBirth}
	key, err := linkage.NewTokenKey([32]byte{9})
	require.NoError(t, err)
	other, err := linkage.NewTokenKey([32]byte{8})
	require.NoError(t, err)
	var question, answer bytes.Buffer
	require.NoError(t, linkage.BlindTokens(&question, [32]byte{1}, records, by))
	require.NotContains(t, question.String(), "berry")
	_, err = linkage.EvaluateTokens(&answer, &question, rand.Reader, key, 1)
	require.NoError(t, err)
	finish := func(answer string, public oprf.PublicKey) error {
		_, err := linkage.FinishTokens(strings.NewReader(answer), [32]byte{1}, public, records, by)
		return err
	}
	require.NoError(t, finish(answer.String(), key.Public()))
	require.ErrorIs(t, finish(answer.String(), other.Public()), oprf.ErrProof)
	require.ErrorContains(t, finish("", key.Public()), "less than was asked")
	require.ErrorContains(t, finish(answer.String()+answer.String(), key.Public()), "more than was asked")
	require.ErrorContains(t, finish("x", key.Public()), "not a line of JSON")
	require.ErrorContains(t, finish(`{"elements":["AAAA"]}`, key.Public()), "element 0 of a batch")
}

func FuzzEvaluateTokens(f *testing.F) {
	key, err := linkage.NewTokenKey([32]byte{9})
	require.NoError(f, err)
	var question bytes.Buffer
	records := []linkage.Record{person("Lachlan", "Berry", "1999-02-19", "4814")}
	require.NoError(f, linkage.BlindTokens(&question, [32]byte{1}, records, linkage.Recipes()))
	f.Add(question.String())
	f.Add(question.String() + question.String())
	f.Add(`{"elements":[]}`)
	f.Add(`{"elements":["AAAA",null]}`)
	f.Fuzz(func(t *testing.T, question string) {
		var answer bytes.Buffer
		n, err := linkage.EvaluateTokens(&answer, strings.NewReader(question), rand.Reader, key, 10)
		if err == nil {
			require.LessOrEqual(t, n, 10)
			require.LessOrEqual(t, strings.Count(answer.String(), "\n"), n, "a line for each batch")
		}
	})
}

func TestMatchStopsWhenAsked(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := person("Lachlan", "Berry", "1999-02-19", "4814")
	_, err := linkage.Match(ctx, encode(t, linkage.Coding{}, []linkage.Record{r}), nil, 0.7)
	require.ErrorIs(t, err, context.Canceled)
}
