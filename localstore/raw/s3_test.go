package raw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// paths are what the platform's specification wants paths to be.
var paths = regexp.MustCompile(`^files/([0-9a-f]{2})/([0-9a-f]{32})/([a-z0-9-]+)/(\d{4})/(\d{2})/(\d{2})/[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.([a-z0-9]+)$`)

func TestPathsFollowTheScheme(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.cfg.Now = func() time.Time { return time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 3600)) }
		s.open(t)
		users := map[string]bool{}
		for i, c := range []struct {
			origin               Origin
			wantSource, wantEnds string
		}{
			{Origin{Sender: "Kowalski, 1931-05-06", Source: "fhir", Name: "Kowalski.NDJSON"}, "fhir", "ndjson"},
			{Origin{Sender: "mllp", Source: "hl7v2", Name: "messages.kowalski"}, "hl7v2", "bin"},
			{Origin{Sender: "pull", Source: "../../etc", Name: "../x.csv"}, "other", "csv"},
			{Origin{}, "other", "bin"},
		} {
			before := strings.Join(s.names(t), " ")
			_, _, _, err := s.Put(t.Context(), strings.NewReader(string(rune('a'+i))), noLimit, c.origin)
			require.NoError(t, err)
			for _, name := range s.names(t) {
				if strings.Contains(before, name) {
					continue
				}
				require.Regexp(t, paths, name)
				m := paths.FindStringSubmatch(name)
				require.Equal(t, []string{m[2][:2], c.wantSource, "2026", "02", "28", c.wantEnds}, []string{m[1], m[3], m[4], m[5], m[6], m[7]})
				users[m[2]] = true
			}
		}
		require.Len(t, users, 4)
		for _, name := range s.names(t) {
			require.NotContains(t, strings.ToLower(name), "kowalski")
		}
	})
}

// TestABucketSaysNothingOfContent: whoever sees the names cannot find out whether content
// is there that he has himself.
func TestABucketSaysNothingOfContent(t *testing.T) {
	t.Parallel()
	s, other := inS3(t), inS3(t)
	content := []byte("MSH|^~\\&|a message that can be guessed")
	d := put(t, s.Store, content)
	put(t, other.Store, content)
	var all []string
	require.NoError(t, s.cfg.Bucket.List(t.Context(), "", func(name string, _ time.Time) error {
		all = append(all, name)
		return nil
	}))
	require.Len(t, all, 3, "secret, index and file")
	for _, name := range all {
		require.NotContains(t, name, d.String()[:8])
		require.NotContains(t, string(s.stored(t, name)), "guessed")
	}
	require.NotEqual(t, path.Base(s.names(t)[0]), path.Base(other.names(t)[0]))
}

// faults are all that may befall a request.
var faults = map[string]fault{"lost": lost, "refused": refuse, "broken": broken, "unsaid": unsaid, "cut": half}

// TestS3FailsAtAnyRequest: whichever request fails, once or from then on, what was
// acknowledged is there whole, and what was not is there whole or not at all.
func TestS3FailsAtAnyRequest(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 1000, "in parts": 2*minPart + 1} {
		for what, f := range faults {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				failAtAny(t, f, random(size))
			})
		}
	}
}

func failAtAny(t *testing.T, f fault, content []byte) {
	s := inS3(t)
	d := Digest(sha256.Sum256(content))
	for step := 0; ; step++ {
		for _, forever := range []bool{false, true} {
			require.NoError(t, s.cfg.Bucket.Remove(t.Context(), s.everything(t)...))
			s.open(t)
			s.wire.with(func(_ *http.Request, n int) fault {
				if n == step || forever && n > step {
					return f
				}
				return none
			})
			_, _, _, err := s.Put(t.Context(), bytes.NewReader(content), noLimit, Origin{})
			asked := s.wire.count()
			s.wire.with(nil)
			if step >= asked {
				require.NoError(t, err)
				require.GreaterOrEqual(t, step, 3, "all requests were tried")
				return
			}
			require.LessOrEqual(t, asked, 60, "tries are bounded")
			verified := s.Verify(t.Context(), d)
			switch {
			case err == nil:
				require.NoError(t, verified, "request %d: what is acknowledged is there", step)
			case verified != nil:
				require.ErrorIs(t, verified, ErrNotFound, "request %d: whole or not at all", step)
			}
			if !forever {
				require.NoError(t, err, "request %d: one failure is made good", step)
			} else if err != nil {
				require.ErrorIs(t, err, sqldb.ErrUnavailable, "request %d: it may be tried again", step)
			}
			require.NoError(t, s.Verify(t.Context(), put(t, s.Store, content)), "request %d: and again", step)
			s.later(t, 100*time.Hour)
			_, err = s.Sweep(t.Context())
			require.NoError(t, err)
			require.Len(t, s.everything(t), 3, "request %d: secret, index and file", step)
			require.NoError(t, s.Verify(t.Context(), d))
			s.cfg.Now = nil
		}
	}
}

// everything is the names of all objects.
func (s *site) everything(t testing.TB) (names []string) {
	t.Helper()
	require.NoError(t, s.cfg.Bucket.List(t.Context(), "", func(name string, _ time.Time) error {
		names = append(names, name)
		return nil
	}))
	return names
}

// TestReadingFromS3FailsAtAnyRequest: what is read is right or an error that may pass, and
// never passes for damaged or for the end.
func TestReadingFromS3FailsAtAnyRequest(t *testing.T) {
	t.Parallel()
	content := random(1<<20 + 5)
	for what, f := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := inS3(t)
			d := put(t, s.Store, content)
			for step := 0; ; step++ {
				for _, forever := range []bool{false, true} {
					s.wire.with(func(_ *http.Request, n int) fault {
						if n == step || forever && n > step {
							return f
						}
						return none
					})
					got, err := read(s.Store, d)
					asked := s.wire.count()
					s.wire.with(nil)
					if step >= asked {
						require.NoError(t, err)
						require.GreaterOrEqual(t, step, 2)
						return
					}
					require.LessOrEqual(t, asked, 30, "tries are bounded")
					if err == nil {
						require.True(t, bytes.Equal(content, got))
						continue
					}
					require.True(t, forever, "one failure is made good")
					require.ErrorIs(t, err, sqldb.ErrUnavailable)
					require.NotErrorIs(t, err, ErrDamaged)
					require.NotErrorIs(t, err, ErrNotFound)
				}
			}
		})
	}
}

// TestPartsInS3AreDurableBeforeTheyAreTold: no failure makes more count as come than is
// there, nor less than was told.
func TestPartsInS3AreDurableBeforeTheyAreTold(t *testing.T) {
	t.Parallel()
	content := random(1000)
	for what, f := range faults {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := inS3(t)
			for step := 0; ; step++ {
				p := s.Partial(PartialID{byte(step)})
				first, err := p.Append(t.Context(), 0, bytes.NewReader(content[:400]), noLimit)
				require.NoError(t, err)
				s.wire.with(func(_ *http.Request, n int) fault {
					if n >= step {
						return f
					}
					return none
				})
				told, err := p.Append(t.Context(), first, bytes.NewReader(content[first:]), noLimit)
				asked := s.wire.count()
				s.wire.with(nil)
				size, serr := p.Size(t.Context())
				require.NoError(t, serr)
				require.GreaterOrEqual(t, size, first+told)
				got, gerr := whole(p)
				require.NoError(t, gerr)
				require.True(t, bytes.Equal(content[:size], got), "request %d", step)
				if step >= asked {
					require.NoError(t, err)
					require.GreaterOrEqual(t, step, 2)
					return
				}
			}
		})
	}
}

// TestAnS3ThatDoesNotAnswerEndsWithTheContext: whoever waits says for how long.
func TestAnS3ThatDoesNotAnswerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s := inS3(t)
	d := put(t, s.Store, []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	s.wire.with(func(*http.Request, int) fault { cancel(); return hang })
	_, _, _, err := s.Put(ctx, strings.NewReader("y"), noLimit, Origin{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, s.Verify(ctx, d), context.Canceled)
	s.wire.with(nil)
	require.NoError(t, s.Verify(t.Context(), d))
}

// TestAStoreInS3IsOnlyForItsKey: without its secret nothing is taken for lost.
func TestAStoreInS3IsOnlyForItsKey(t *testing.T) {
	t.Parallel()
	s := inS3(t)
	put(t, s.Store, []byte("x"))
	require.NoError(t, s.cfg.Bucket.Remove(t.Context(), secretName))
	_, err := Open(s.cfg)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "secret")
}

// TestASweepKeepsWhatIsYoung: another process may be about to make it count.
func TestASweepKeepsWhatIsYoung(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		s.overwrite(t, filesFolder+"/ab/x/fhir/2026/01/02/0-0-0-0-0.json", []byte("left by a process that died"))
		s.later(t, 50*time.Hour)
		n, err := s.Sweep(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		s.later(t, 100*time.Hour)
		n, err = s.Sweep(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Empty(t, s.names(t))
	})
}
