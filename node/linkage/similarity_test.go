package linkage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/node/linkage"
)

// Values of Winkler's table (1990) to the three digits printed there, with the prefix
// counted whatever the similarity.
func TestJaroWinkler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"shackleford", "shackelford", 0.982},
		{"dunningham", "cunnigham", 0.896},
		{"nichleson", "nichulson", 0.956},
		{"jones", "johnson", 0.832},
		{"massey", "massie", 0.933},
		{"abroms", "abrams", 0.922},
		{"hardin", "martinez", 0.722},
		{"itman", "smith", 0.467},
		{"jeraldine", "geraldine", 0.926},
		{"marhta", "martha", 0.961},
		{"michelle", "michael", 0.921},
		{"julies", "julius", 0.933},
		{"tanya", "tonya", 0.880},
		{"dwayne", "duane", 0.840},
		{"sean", "susan", 0.805},
		{"jon", "john", 0.933},
		{"jon", "jan", 0.800},
		{"dixon", "dicksonx", 0.813},
		{"", "a", 0},
		{"ab", "cd", 0},
		{"", "", 1},
		{"müller", "muller", 0.9},
	} {
		require.InDelta(t, c.want, linkage.JaroWinkler(c.a, c.b), 0.0005, "%s %s", c.a, c.b)
	}
}

func TestJaroWinklerIsASimilarity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringMatching(`[a-dä]{0,70}`).Draw(t, "a"), rapid.StringMatching(`[a-dä]{0,70}`).Draw(t, "b")
		s := linkage.JaroWinkler(a, b)
		require.InDelta(t, s, linkage.JaroWinkler(b, a), 0.15, "greedy matching is nearly the same from both sides")
		require.GreaterOrEqual(t, s, 0.0)
		require.LessOrEqual(t, s, 1.0)
		require.Equal(t, 1.0, linkage.JaroWinkler(a, a))
		other := strings.NewReplacer("a", "я", "b", "ж", "c", "щ", "d", "ю", "ä", "q")
		require.Equal(t, s, linkage.JaroWinkler(other.Replace(a), other.Replace(b)), "the alphabet does not matter")
	})
}

func BenchmarkJaroWinkler(b *testing.B) {
	for name, pair := range map[string][2]string{
		"alike":    {"shackleford", "shackelford"},
		"unlike":   {"sondergeld", "harrington"},
		"street":   {"goldfinch circuit", "tullaroop street"},
		"no ascii": {"müllerström", "muellerstrom"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				linkage.JaroWinkler(pair[0], pair[1])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "comparisons/s")
		})
	}
}
