package pull

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// searched is the pages of a search, each with so many patients.
func searched(sizes ...int) [][]byte {
	var pages [][]byte
	id := 0
	for i, n := range sizes {
		var entries []string
		for range n {
			entries = append(entries, fmt.Sprintf("{\"resource\":{\n\"resourceType\":\"Patient\",\"id\":\"p%d\",\"birthDate\":\"1970-01-01\"}}", id))
			id++
		}
		link := ""
		if i < len(sizes)-1 {
			link = `"link":[{"relation":"next","url":"NEXT"}],`
		}
		pages = append(pages, []byte(`{"resourceType":"Bundle","type":"searchset",`+link+`"entry":[`+strings.Join(entries, ",")+`]}`))
	}
	return pages
}

// TestSearchIsLoaded: pages become files, which a process that comes later goes on from.
func TestSearchIsLoaded(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		server := s.server(servertest.Config{Pages: map[string][][]byte{
			"Patient": searched(4, 4, 0, 4, 1), "Observation?category=laboratory": searched(0), "Observation?category=vital-signs": searched(0),
		}})
		s.settings(server, "kind: search", "types: [Observation, Patient]", "filters: ['Observation?category=laboratory', 'Observation?category=vital-signs']", "count: 4")
		var stop func()
		for range 3 {
			server.Once(servertest.Pages, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) { serve(w, r) })
		}
		server.Once(servertest.Pages, func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			go stop()
			<-r.Context().Done()
		})
		begun := s.clock.Now()
		p := s.open(func(c *Config) { c.Chunk = 5 })
		stop = s.run(p)
		_, err := p.Start(t.Context(), "heart")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(server.Asked(servertest.Pages)) == 4 }, time.Minute, time.Millisecond)
		stop()
		next := s.open(func(c *Config) { c.Chunk = 5 })
		s.run(next)
		r := s.ended(next)
		require.Equal(t, Completed, r.State, r.Error)
		require.Equal(t, map[string]int64{"Patient": 13}, s.records(r))
		require.Len(t, r.Files, 4, "two of patients, one for each filter of observations")
		require.Equal(t, begun.Add(-overlap), r.Until)
		asked := server.Asked(servertest.Pages)
		require.Len(t, asked, 5+2+2, "the file that was broken off had two pages")
		require.Equal(t, "GET Patient?_count=4", asked[0])

		s.clock.pass(24 * time.Hour)
		require.Equal(t, r.Until, s.fetch(next).Since)
		asked = server.Asked(servertest.Pages)[9:]
		require.Equal(t, "GET Patient?_count=4&_lastUpdated=ge"+strings.ReplaceAll(r.Until.Format("2006-01-02T15:04:05.000Z"), ":", "%3A"), asked[0])
	})
}

func TestSearchThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	server := s.server(servertest.Config{Pages: map[string][][]byte{"Patient": searched(1)}})
	s.settings(server, "kind: search", "types: [Patient, Basic]")
	p := s.open()
	s.run(p)
	r := s.fetch(p)
	require.Equal(t, Failed, r.State)
	require.Contains(t, r.Error, "status 404 (not-supported)")
	require.Equal(t, map[string]int64{"Patient": 1}, s.records(r), "what came before is loaded")
	require.True(t, s.fetch(p).Since.IsZero(), "a run that failed is no reason to ask for less")
}

// TestSearchInACircleEnds: a page that leads back is noticed in a later file too, also by a
// process that comes later.
func TestSearchInACircleEnds(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"in one process": false, "in two": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, sqltest.SQLite(t))
			pages := searched(2, 2, 2, 0)[:3]
			pages[2] = []byte(strings.Replace(string(pages[2]), "NEXT", "Patient?_count=2&page=1", 1))
			server := s.server(servertest.Config{Pages: map[string][][]byte{"Patient": pages}})
			s.settings(server, "kind: search", "types: [Patient]", "count: 2")
			p := s.open(func(c *Config) { c.Chunk = 2 })
			stop := s.run(p)
			if restart {
				for range 2 {
					server.Once(servertest.Pages, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) { serve(w, r) })
				}
				server.Once(servertest.Pages, func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
					go stop()
					<-r.Context().Done()
				})
			}
			_, err := p.Start(t.Context(), "heart")
			require.NoError(t, err)
			if restart {
				require.Eventually(t, func() bool { return len(server.Asked(servertest.Pages)) == 3 }, time.Minute, time.Millisecond)
				stop()
				p = s.open(func(c *Config) { c.Chunk = 2 })
				s.run(p)
			}
			r := s.ended(p)
			require.Equal(t, Failed, r.State)
			require.Contains(t, r.Error, "in a circle")
			require.Equal(t, map[string]int64{"Patient": 4}, s.records(r), "what came before is loaded")
		})
	}
}
