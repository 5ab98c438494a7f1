package fhirstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// shelf is a store with what it stands on.
type shelf struct {
	*fhirstore.Store
	db  *sqldb.DB
	dir string // of the raw copies
}

func newShelf(t testing.TB, db *sqldb.DB) *shelf {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "key")))
	files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "key")})
	require.NoError(t, err)
	store, err := fhirstore.Open(t.Context(), fhirstore.Config{DB: db, Raw: files, Secret: bytes.Repeat([]byte{1}, 32)})
	require.NoError(t, err)
	return &shelf{store, db, filepath.Join(dir, "raw")}
}

// change is a version of the resource Basic/id that says n.
func change(id string, version int64, n int) fhirstore.Change {
	body := fmt.Sprintf(`{"id":%q,"version":%d,"n":%d}`, id, version, n)
	return fhirstore.Change{
		Type: "Basic", ID: id, Version: version, Body: []byte(body),
		Terms: []fhirstore.Term{{Type: "Basic", Param: "n", Value: fmt.Sprint(n)}, {Type: "Basic", Param: "parity", Value: fmt.Sprint(n % 2)}},
		Spans: []fhirstore.Span{{Param: "n", Low: int64(n), High: int64(n) + 1}},
	}
}

func (s *shelf) put(ctx context.Context, now time.Time, changes ...fhirstore.Change) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := s.Lock(ctx, tx); err != nil {
			return err
		}
		kept, err := s.Keep(ctx, changes, fhirstore.Context{Before: [][]byte{[]byte(`{"first":1}`)}, After: [][]byte{[]byte(`{"last":1}`)}})
		if err != nil {
			return err
		}
		return s.Put(ctx, tx, now, changes, kept)
	})
}

// found is what a search returns, without bodies.
func (s *shelf) found(t require.TestingT, q fhirstore.Query) []fhirstore.Version {
	var found []fhirstore.Version
	require.NoError(t, s.db.Read(context.Background(), func(tx *sqldb.Tx) (err error) {
		found, err = s.Search(context.Background(), tx, q)
		return err
	}))
	return found
}

func ids(found []fhirstore.Version) []string {
	list := []string{}
	for _, v := range found {
		list = append(list, v.ID)
	}
	return list
}

// model is what a map would know of a resource: its versions, nil for a deletion.
type model map[string][]*int

// TestStoreIsAMap makes any sequence of puts and deletions, several at a time, and
// compares each read and search with a map.
func TestStoreIsAMap(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s, run := newShelf(t, db), 0
		rapid.Check(t, func(t *rapid.T) {
			if run++; db.Dialect() == sqldb.Postgres && run > 40 {
				return // the laws are one for both engines, and syncing is slow
			}
			m, created := model{}, []string{}
			for range rapid.IntRange(1, 3).Draw(t, "requests") {
				var changes []fhirstore.Change
				for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID).Draw(t, "ids") {
					id = fmt.Sprintf("%d-%s", run, id)
					n := rapid.IntRange(0, 3).Draw(t, "n")
					c := change(id, int64(len(m[id]))+1, n)
					c.Content = s.Content([]byte(fmt.Sprint(n)))
					if said := &n; len(m[id]) > 0 && rapid.Bool().Draw(t, "delete") {
						c.Deleted, c.Body, c.Terms, c.Spans = true, nil, nil, nil
						m[id] = append(m[id], nil)
					} else {
						if len(m[id]) == 0 {
							created = append(created, id)
						}
						m[id] = append(m[id], said)
					}
					changes = append(changes, c)
				}
				require.NoError(t, s.put(context.Background(), start.Add(time.Duration(run)*time.Minute), changes...))
			}
			s.compare(t, m, created)
		})
	})
}

func (s *shelf) compare(t *rapid.T, m model, created []string) {
	ctx := context.Background()
	var list []fhirstore.Version
	var bodies [][]byte
	require.NoError(t, s.db.Read(ctx, func(tx *sqldb.Tx) error {
		for id, versions := range m {
			head, err := s.Head(ctx, tx, "Basic", id)
			require.NoError(t, err)
			require.EqualValues(t, len(versions), head.Version)
			last := versions[len(versions)-1]
			require.Equal(t, last == nil, head.Deleted)
			require.Equal(t, last != nil && *last == 1, head.Same(s.Content([]byte("1"))))
			for i, n := range versions {
				v, err := s.Version(ctx, tx, "Basic", id, int64(i)+1)
				require.NoError(t, err)
				require.Equal(t, n == nil, v.Deleted)
				want := []byte(nil)
				if n != nil {
					want = change(id, int64(i)+1, *n).Body
				}
				list, bodies = append(list, v), append(bodies, want)
			}
			_, err = s.Version(ctx, tx, "Basic", id, int64(len(versions))+1)
			require.ErrorIs(t, err, fhirstore.ErrNotFound)
		}
		return nil
	}))
	require.NoError(t, s.Load(t.Context(), list))
	for i, v := range list {
		require.Equal(t, string(bodies[i]), string(v.Body))
	}
	all := make([]string, 0, len(m))
	for id := range m {
		all = append(all, id)
	}
	for n := range 4 {
		want := []string{}
		for _, id := range created {
			if last := m[id][len(m[id])-1]; last != nil && *last == n {
				want = append(want, id)
			}
		}
		q := fhirstore.Query{Types: []string{"Basic"}, IDs: all, Limit: 10, Terms: [][]fhirstore.Term{
			{{Type: "Basic", Param: "n", Value: fmt.Sprint(n)}}, {{Type: "Basic", Param: "parity", Value: "0"}, {Type: "Basic", Param: "parity", Value: "1"}},
		}}
		require.Equal(t, want, ids(s.found(t, q)))
		q.Terms, q.Times = nil, []fhirstore.TimesOf{{Param: "n", AnyOf: []fhirstore.Time{{Relation: fhirstore.Within, Low: int64(n), High: int64(n) + 1}}}}
		require.Equal(t, want, ids(s.found(t, q)))
	}
}

// TestRelations compares each relation with its definition, written out for spans of
// whole numbers.
func TestRelations(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newShelf(t, db)
		type bounds struct{ low, high int64 }
		spans := map[string]bounds{}
		var changes []fhirstore.Change
		for low := int64(0); low < 4; low++ {
			for high := low + 1; high <= 4; high++ {
				id := fmt.Sprintf("s%d%d", low, high)
				spans[id] = bounds{low, high}
			}
		}
		spans["open"] = bounds{2, math.MaxInt64}
		spans["begun"] = bounds{math.MinInt64, 2}
		for id, b := range spans {
			changes = append(changes, fhirstore.Change{Type: "Basic", ID: id, Version: 1, Body: []byte(`{}`), Spans: []fhirstore.Span{{Param: "t", Low: b.low, High: b.high}}})
		}
		require.NoError(t, s.put(t.Context(), start, changes...))
		const low, high = 1, 3
		for relation, holds := range map[fhirstore.Relation]func(b bounds) bool{
			fhirstore.Within:   func(b bounds) bool { return low <= b.low && b.high <= high },
			fhirstore.Outside:  func(b bounds) bool { return low > b.low || b.high > high },
			fhirstore.After:    func(b bounds) bool { return b.high > high },
			fhirstore.Before:   func(b bounds) bool { return b.low < low },
			fhirstore.From:     func(b bounds) bool { return b.high > high || low <= b.low && b.high <= high },
			fhirstore.Until:    func(b bounds) bool { return b.low < low || low <= b.low && b.high <= high },
			fhirstore.Starts:   func(b bounds) bool { return b.low >= high },
			fhirstore.Ends:     func(b bounds) bool { return b.high <= low },
			fhirstore.Overlaps: func(b bounds) bool { return b.low < high && b.high > low },
		} {
			want := []string{}
			for id, b := range spans {
				if holds(b) {
					want = append(want, id)
				}
			}
			got := ids(s.found(t, fhirstore.Query{Limit: 100, Times: []fhirstore.TimesOf{{Param: "t", AnyOf: []fhirstore.Time{{Relation: relation, Low: low, High: high}}}}}))
			slices.Sort(want)
			slices.Sort(got)
			require.Equal(t, want, got, relation)
			require.True(t, relation.Known())
		}
		require.False(t, fhirstore.Relation("zz").Known())
	})
}

func TestSortAndPages(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newShelf(t, db)
		for i, n := range []int{3, 1, 2, 1} {
			require.NoError(t, s.put(t.Context(), start.Add(time.Duration(i)*time.Second), change(fmt.Sprintf("r%d", i), 1, n)))
		}
		without := change("none", 1, 0)
		without.Spans = nil
		require.NoError(t, s.put(t.Context(), start, without))
		for _, c := range []struct {
			sort       string
			descending bool
			want       []string
		}{
			{"", false, []string{"r0", "r1", "r2", "r3", "none"}},
			{"n", false, []string{"r1", "r3", "r2", "r0", "none"}},
			{"n", true, []string{"r0", "r2", "r1", "r3", "none"}},
			{fhirstore.Updated, false, []string{"r0", "none", "r1", "r2", "r3"}},
			{fhirstore.Updated, true, []string{"r3", "r2", "r1", "r0", "none"}},
		} {
			q := fhirstore.Query{Types: []string{"Basic"}, Sort: c.sort, Descending: c.descending, Limit: 2}
			var got []string
			for {
				page := s.found(t, q)
				if len(page) == 0 {
					break
				}
				got = append(got, ids(page)...)
				q.After = page[len(page)-1].Cursor()
			}
			require.Equal(t, c.want, got, "%s %t", c.sort, c.descending)
		}
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			for most, want := range map[int64]int64{3: 3, 10: 5} {
				n, err := s.Count(t.Context(), tx, fhirstore.Query{}, most)
				require.NoError(t, err)
				require.Equal(t, want, n)
			}
			return nil
		}))
	})
}

func TestAVersionIsTheNextOne(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newShelf(t, db)
		require.NoError(t, s.put(t.Context(), start, change("a", 1, 1)))
		for _, version := range []int64{1, 3} {
			require.ErrorIs(t, s.put(t.Context(), start, change("b", 1, 0), change("a", version, 2)), sqldb.ErrConflict)
		}
		require.ErrorIs(t, s.put(t.Context(), start, change("c", 2, 0)), sqldb.ErrConflict)
		require.Equal(t, []string{"a"}, ids(s.found(t, fhirstore.Query{Limit: 9})), "nothing of a request that failed")
		undone := errors.New("the process dies")
		require.ErrorIs(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			changes := []fhirstore.Change{change("a", 2, 2)}
			kept, err := s.Keep(t.Context(), changes, fhirstore.Context{})
			return errors.Join(err, s.Put(t.Context(), tx, start, changes, kept), undone)
		}), undone)
		require.NoError(t, s.put(t.Context(), start, change("a", 2, 3)))
	})
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	s := newShelf(t, sqltest.SQLite(t))
	require.NoError(t, s.put(t.Context(), start, change("a", 1, 1)))
	require.NoError(t, s.put(t.Context(), start, change("b", 1, 2)))
	var paths []string
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "secret" {
			paths = append(paths, path)
		}
		return err
	}))
	require.Len(t, paths, 2)
	var found []fhirstore.Version
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		found, err = s.Search(t.Context(), tx, fhirstore.Query{Limit: 9})
		return err
	}))
	require.NoError(t, s.Load(t.Context(), found))

	one, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	other, err := os.ReadFile(paths[1])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(paths[0], other, 0o600))
	require.ErrorIs(t, s.Load(t.Context(), found), fhirstore.ErrDamaged, "an authentic copy of something else")
	require.NoError(t, os.WriteFile(paths[0], one[:len(one)-20], 0o600))
	require.ErrorIs(t, s.Load(t.Context(), found), raw.ErrDamaged)
	require.NoError(t, os.Remove(paths[0]))
	require.ErrorIs(t, s.Load(t.Context(), found), raw.ErrNotFound)
}

func TestPatientDataDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := change("Kowalski", 1, 4711)
	for _, v := range []any{c, fhirstore.Version{ID: "Kowalski"}, c.Terms[0], fhirstore.Query{IDs: []string{"Kowalski"}}} {
		require.Equal(t, "resource:redacted", fmt.Sprintf("%+v", v))
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := fhirstore.Open(t.Context(), fhirstore.Config{DB: sqltest.SQLite(t), Secret: make([]byte, 32)})
	require.ErrorContains(t, err, "raw copies")
}
