package access_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/node/access"
)

func TestScopesAreWhatSMARTSays(t *testing.T) {
	t.Parallel()
	const all = access.Create | access.Read | access.Update | access.Delete | access.Search
	for text, want := range map[string]struct {
		canonical string
		may       access.Action
	}{
		"system/Observation.rs":                               {"system/Observation.rs", access.Read | access.Search},
		"system/*.cruds":                                      {"system/*.cruds", all},
		"system/Observation.read":                             {"system/Observation.rs", access.Read | access.Search},
		"system/Observation.write":                            {"system/Observation.cud", access.Create | access.Update | access.Delete},
		"system/*.*":                                          {"system/*.cruds", all},
		"system/Observation.r  system/Observation.s":          {"system/Observation.rs", access.Read | access.Search},
		"system/*.rs system/Observation.crs ingest ingest":    {"ingest system/*.rs system/Observation.c", access.Create | access.Read | access.Search},
		"system/Patient.rs jobs.read":                         {"jobs.read system/Patient.rs", 0},
		"ingest jobs.read jobs.write reference.read quality ": {"ingest jobs.read jobs.write quality reference.read", 0},
	} {
		s, err := access.ParseScopes(text)
		require.NoError(t, err, text)
		require.Equal(t, want.canonical, s.String())
		for _, a := range []access.Action{access.Create, access.Read, access.Update, access.Delete, access.Search} {
			require.Equal(t, want.may&a != 0, s.May("Observation", a), "%s: %s", text, a)
		}
		require.False(t, s.May("Observation", 0), "nothing is no permission")
	}
	for _, text := range []string{
		"", " ", "system/Observation.dus", "system/Observation.rr", "system/Observation.", "system/Observation.sr", "system/observation.r",
		"system/Observation.rs?category=laboratory", "user/Observation.rs", "patient/*.rs", "system/*", "*", "openid", "INGEST", "ingest,jobs.read",
		"system/Observation.rs\x00", `system/"x".r`, "system/**.r", strings.Repeat("ingest ", 600),
	} {
		_, err := access.ParseScopes(text)
		require.Error(t, err, text)
	}
}

func TestATokenAllowsWhatIsAskedAndRegistered(t *testing.T) {
	t.Parallel()
	registered, err := access.ParseScopes("system/Patient.rs system/Observation.cruds ingest jobs.read")
	require.NoError(t, err)
	for wanted, got := range map[string]string{
		"system/Patient.rs ingest":      "system/Patient.rs ingest",
		"system/Patient.read":           "system/Patient.read",
		"system/Patient.read ingest":    "system/Patient.read ingest",
		"system/*.rs":                   "system/Observation.rs system/Patient.rs",
		"system/*.read jobs.write":      "system/Observation.rs system/Patient.rs",
		"system/Patient.cruds":          "system/Patient.rs",
		"ingest ingest":                 "ingest",
		"openid ingest user/*.rs":       "ingest",
		"system/Condition.rs audit":     "",
		"system/*.cruds system/Basic.c": "system/Observation.cruds system/Patient.rs",
		"":                              "",
	} {
		s, text := registered.Grant(wanted)
		require.Equal(t, got, text, wanted)
		require.Equal(t, got == "", s.IsZero(), wanted)
	}
	everything, err := access.ParseScopes("system/*.rs")
	require.NoError(t, err)
	_, text := everything.Grant("system/Patient.rs system/Basic.cruds")
	require.Equal(t, "system/Patient.rs system/Basic.rs", text)
}

var scopeTexts = rapid.Custom(func(t *rapid.T) string {
	one := rapid.OneOf(
		rapid.SampledFrom([]string{"ingest", "jobs.read", "audit"}),
		rapid.Custom(func(t *rapid.T) string {
			letters := ""
			for _, c := range "cruds" {
				if rapid.Bool().Draw(t, "has") {
					letters += string(c)
				}
			}
			if letters == "" {
				letters = rapid.SampledFrom([]string{"read", "write", "*"}).Draw(t, "first version")
			}
			return "system/" + rapid.SampledFrom([]string{"*", "Patient", "Observation", "Basic"}).Draw(t, "type") + "." + letters
		}))
	return strings.Join(rapid.SliceOfN(one, 1, 6).Draw(t, "scopes"), " ")
})

// TestNoGrantIsMoreThanBoth: what is granted is what is asked for and what is registered,
// no more and no less, and its text says so.
func TestNoGrantIsMoreThanBoth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		registered, err := access.ParseScopes(scopeTexts.Draw(t, "registered"))
		require.NoError(t, err)
		wanted := scopeTexts.Draw(t, "wanted")
		asked, err := access.ParseScopes(wanted)
		require.NoError(t, err)
		again, err := access.ParseScopes(asked.String())
		require.NoError(t, err)
		require.Equal(t, asked.String(), again.String())
		got, text := registered.Grant(wanted)
		told := access.Scopes{}
		if text != "" {
			told, err = access.ParseScopes(text)
			require.NoError(t, err)
		}
		for _, resourceType := range []string{"Patient", "Observation", "Basic", "Other"} {
			for _, a := range []access.Action{access.Create, access.Read, access.Update, access.Delete, access.Search} {
				both := registered.May(resourceType, a) && asked.May(resourceType, a)
				require.Equal(t, both, got.May(resourceType, a))
				require.Equal(t, both, told.May(resourceType, a))
			}
		}
		for _, own := range access.Owns() {
			both := registered.Allows(own.Scope) && asked.Allows(own.Scope)
			require.Equal(t, both, got.Allows(own.Scope))
			require.Equal(t, both, told.Allows(own.Scope))
		}
	})
}

func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"system/*.rs ingest", "system/Patient.read", "a b", "system/Patient.cruds?x=y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := access.ParseScopes(text)
		if err != nil {
			return
		}
		again, err := access.ParseScopes(s.String())
		require.NoError(t, err)
		require.Equal(t, s.String(), again.String())
	})
}
