package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linkedFiles are two lists that share two people, one of them with a typing error.
func linkedFiles(t *testing.T) (dir, north, south string) {
	t.Helper()
	dir = t.TempDir()
	north, south = filepath.Join(dir, "north.csv"), filepath.Join(dir, "south.csv")
	require.NoError(t, os.WriteFile(north, []byte("first,family,birth,postcode\nLachlan,Berry,1999-02-19,4814\nKayla,Harrington,1915-06-12,3465\n"), 0o600))
	require.NoError(t, os.WriteFile(south, []byte("first;family;birth;postcode\nAlexa;Wood;1970-01-05;2000\nKayla;Harington;12.6.1915;3465\nLACHLAN;Bérry;19990219;4814\n"), 0o600))
	return dir, north, south
}

const linkedFields = "given=first,family,birth,postcode"

func TestRowsOfOnePersonArePairedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	_, north, south := linkedFiles(t)
	text, err := execute(t, "node", "link", "pairs", north, south, "--fields", linkedFields, "--exact", "names-birth")
	require.NoError(t, err)
	require.Equal(t, "a,b,score\n1,3,1.0000\n", text)
	text, err = execute(t, "node", "link", "pairs", north, south, "--fields", linkedFields, "--exact", "names-birth,sounds-birth", "--json")
	require.NoError(t, err)
	require.JSONEq(t, `{"pairs":[{"a":1,"b":3,"score":1},{"a":2,"b":2,"score":1}],"passedOver":0,"model":null}`, text)

	febrl := "node/linkage/testdata/dataset1.csv.gz"
	text, err = execute(t, "node", "link", "pairs", febrl, "--fields", "given=given_name,family=surname,birth=date_of_birth,id=soc_sec_id", "--one-to-one")
	require.NoError(t, err)
	require.Greater(t, strings.Count(text, "\n"), 490, "a packed file, and a model that is learned from it")
}

func TestSitesExchangeCodes(t *testing.T) {
	t.Parallel()
	dir, north, south := linkedFiles(t)
	key := filepath.Join(dir, "codes.key")
	for _, path := range []string{key, north + ".own", south + ".own"} {
		_, err := execute(t, "node", "link", "key", path)
		require.NoError(t, err)
	}
	for _, path := range []string{north, south} {
		_, err := execute(t, "node", "link", "encode", path, "--fields", linkedFields, "--key", key, "--flip", "0.01", "--noise", path+".own", "--out", path+".codes")
		require.NoError(t, err)
	}
	text, err := execute(t, "node", "link", "match", north+".codes", south+".codes", "--one-to-one")
	require.NoError(t, err)
	require.Regexp(t, `^a,b,score\n1,3,0\.\d{4}\n2,2,0\.\d{4}\n$`, text)

	_, err = execute(t, "node", "link", "encode", north, "--fields", linkedFields, "--key", key, "--flip", "0.01", "--noise", key)
	require.ErrorContains(t, err, "common key")
	_, err = execute(t, "node", "link", "encode", north, "--fields", linkedFields, "--key", north)
	require.ErrorContains(t, err, "32 bytes in hexadecimal")
}

func TestSitesExchangeTokens(t *testing.T) {
	t.Parallel()
	dir, north, south := linkedFiles(t)
	key := filepath.Join(dir, "tokens.key")
	public, err := execute(t, "node", "link", "key", key)
	require.NoError(t, err)
	for _, path := range []string{north, south} {
		_, err := execute(t, "node", "link", "blind", path, "--fields", linkedFields, "--secret", path+".secret", "--out", path+".question")
		require.NoError(t, err)
		said, err := execute(t, "node", "link", "evaluate", path+".question", "--key", key, "--most", "6", "--out", path+".answer")
		require.NoError(t, err)
		require.Regexp(t, `^[46] values\n$`, said, "two for each row: nobody has an identifier")
		_, err = execute(t, "node", "link", "tokens", path, "--fields", linkedFields, "--secret", path+".secret", "--answer", path+".answer",
			"--public", strings.TrimSpace(public), "--out", path+".tokens")
		require.NoError(t, err)
	}
	text, err := execute(t, "node", "link", "match", north+".tokens", south+".tokens")
	require.NoError(t, err)
	require.Equal(t, "a,b,score\n1,3,1.0000\n2,2,1.0000\n", text)

	_, err = execute(t, "node", "link", "tokens", north, "--fields", linkedFields, "--secret", north+".secret", "--answer", south+".answer",
		"--public", strings.TrimSpace(public))
	require.ErrorContains(t, err, "south.csv.answer: answer: oprf: 6 elements came back for 4")
	_, err = execute(t, "node", "link", "evaluate", north+".question", "--key", key, "--most", "3", "--out", filepath.Join(dir, "answer"))
	require.ErrorContains(t, err, "more than 3 values")
	require.NoFileExists(t, filepath.Join(dir, "answer"))
	_, err = execute(t, "node", "link", "match", north+".tokens", south)
	require.ErrorContains(t, err, "not a file of node link encode")
}

func TestLinkIsCalledWronglyWithStatus2(t *testing.T) {
	t.Parallel()
	_, north, _ := linkedFiles(t)
	for _, call := range [][]string{
		{"pairs", north},
		{"pairs", north, "--fields", "nose"},
		{"pairs", north, "--fields", linkedFields, "--threshold", "2"},
		{"pairs", north, "--fields", linkedFields, "--exact", "shoe"},
		{"pairs", north, "--fields", linkedFields, "--dates", "ymd"},
		{"match", north, "--threshold", "0.4"},
		{"evaluate", north, "--key", north, "--most", "0", "--out", north + ".x"},
		{"tokens", north, "--fields", linkedFields, "--secret", north, "--answer", north, "--public", "00"},
	} {
		_, err := execute(t, append([]string{"node", "link"}, call...)...)
		require.Equal(t, exitUsage, statusOf(err), "%v: %v", call, err)
	}
}
