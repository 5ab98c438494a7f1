package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const ferritin = "system,code,category,unit,concept_id,unit_concept_ids,low,high\nhttp://loinc.org,2276-4,laboratory,ng/mL,3001122,8842,1,5000\n"

func TestVariablesAreListedByVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	defer c.Close()
	added, err := c.ImportVariables(t.Context(), strings.NewReader(ferritin), false)
	require.NoError(t, err)
	require.Equal(t, 2, added.Version)
	for query, want := range map[string]int{
		"": 27, "?version=1": 26, "?category=vital-signs": 9, "?category=laboratory&system=http://loinc.org": 18,
		"?code=2276-4": 1, "?code=2276-4&version=1": 0, "?system=http://snomed.info/sct": 0,
	} {
		status, _, body := s.send(http.MethodGet, variablesPath+query, "", nil)
		require.Equal(t, http.StatusOK, status, body)
		v := decode[Variables](t, body)
		require.Equal(t, want, v.Total, query)
		require.Len(t, v.Variables, want, query)
	}
	status, _, body := s.send(http.MethodGet, variablesPath+"?offset=25&limit=10", "", nil)
	require.Equal(t, http.StatusOK, status)
	last := decode[Variables](t, body)
	require.Len(t, last.Variables, 2)
	high := 5000.0
	require.Equal(t, high, *last.Variables[1].Units[0].High)
	require.True(t, last.Variables[1].Site)
	status, _, _ = s.send(http.MethodGet, variablesPath+"?version=9", "", nil)
	require.Equal(t, http.StatusNotFound, status)

	version, all, err := c.Variables(t.Context(), client.Selection{Category: "vital-signs", Version: 1})
	require.NoError(t, err)
	require.Equal(t, 1, version)
	require.Len(t, all, 9)
	versions, err := c.VariableVersions(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{27, 26}, []int{versions[0].Entries, versions[1].Entries})
}

func TestAListWithAFaultIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, body := s.send(http.MethodPost, variablesPath, "text/csv", strings.NewReader(strings.Replace(ferritin, "ng/mL", "ng/mil", 1)))
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "line 2: unit is no UCUM code", decode[problem.Document](t, body).Title)
}

func TestUnitsAreThoseOfUCUM(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	defer c.Close()
	for system, want := range map[string]int{"": 312, "http://unitsofmeasure.org": 312, "http://snomed.info/sct": 0} {
		list, err := c.Units(t.Context(), system)
		require.NoError(t, err)
		require.Len(t, list, want, "7 base units and 305 others")
	}
	status, _, body := s.send(http.MethodGet, "/v1/units?code=Cel", "", nil)
	require.Equal(t, http.StatusOK, status)
	u := decode[Units](t, body)
	require.Equal(t, []Unit{{
		System: ucumSystem, Code: "Cel", Name: "degree Celsius", Synonyms: []string{}, Symbol: "°C", Property: "temperature", Dimension: "K",
		Class: "si", Metric: true, Special: true,
	}}, u.Units)
}
