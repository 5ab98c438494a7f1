package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
)

func TestFilesAreMappedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	defer c.Close()
	known := sha256.Sum256([]byte("known"))
	for _, one := range []struct {
		want client.Remap
		done client.Remapped
	}{
		{client.Remap{File: hex.EncodeToString(known[:])}, client.Remapped{Files: 1, Jobs: []string{"7"}}},
		{client.Remap{All: true}, client.Remapped{Files: 2, Jobs: []string{"7", "8"}}},
		{client.Remap{Outdated: true}, client.Remapped{Jobs: []string{}}},
	} {
		done, err := c.Remap(t.Context(), one.want)
		require.NoError(t, err)
		require.Equal(t, one.done, done)
	}
	require.Equal(t, []string{"remap file", "remap all", "remap outdated"}, s.acts)
	for body, want := range map[string]int{
		`{}`: 422, `{"all":true,"outdated":true}`: 422, `{"file":"x"}`: 422, `{"file":"` + strings.Repeat("0", 64) + `"}`: 404, `{"every":true}`: 422,
	} {
		status, _, answer := s.send(http.MethodPost, "/v1/ingest/remap", "application/json", strings.NewReader(body))
		require.Equal(t, want, status, "%s: %s", body, answer)
	}
	status, _, _ := s.sendAs("", http.MethodPost, "/v1/ingest/remap", "application/json", strings.NewReader(`{"all":true}`))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, s.acts, 3)
}

func TestCodesAreImportedAndExported(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := client.New(s.url, token)
	require.NoError(t, err)
	defer c.Close()
	const file = "source_code,source_concept_id,source_vocabulary_id,source_code_description,target_concept_id,target_vocabulary_id,valid_start_date,valid_end_date,invalid_reason\n" +
		"K,0,99LAB,\"Kalium, i. S.\",0,None,1970-01-01,2099-12-31,\n"
	version, list, err := c.Codes(t.Context(), "", 0)
	require.NoError(t, err)
	require.Zero(t, version)
	require.Empty(t, list)
	made, err := c.ImportCodes(t.Context(), strings.NewReader(file), false)
	require.NoError(t, err)
	require.Equal(t, 1, made.Version)
	_, list, err = c.Codes(t.Context(), "99LAB", 1)
	require.NoError(t, err)
	require.Equal(t, []client.CodeEntry{{
		Code: "K", Vocabulary: "99LAB", Description: "Kalium, i. S.", TargetIn: "None", From: "1970-01-01", To: "2099-12-31",
	}}, list)
	for path, want := range map[string]int{"": 200, "?version=1": 200, "?version=2": 404, "?version=x": 422} {
		status, header, body := s.send(http.MethodGet, codesPath+"/export"+path, "", nil)
		require.Equal(t, want, status, body)
		if want == http.StatusOK {
			require.Equal(t, "text/csv; charset=utf-8", header.Get("Content-Type"))
			require.Equal(t, file, body)
		}
	}
	_, err = c.ImportCodes(t.Context(), strings.NewReader(strings.Replace(file, ",0,None", ",4,None", 1)), false)
	require.ErrorContains(t, err, "line 2: the vocabulary has no concept 4")
	unmapped, err := c.Unmapped(t.Context())
	require.NoError(t, err)
	require.Empty(t, unmapped)
	versions, err := c.CodeVersions(t.Context())
	require.NoError(t, err)
	require.Len(t, versions, 1)
}
