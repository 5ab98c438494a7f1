package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// A bad line is listed by number and reason and keeps no other out.
func TestConsentsAreRecordedLineByLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good, other := grant(t, thePatient), grant(t, thePatient)
	forged := strings.Replace(grant(t, thePatient), `"nonce":"`, `"nonce":"00`, 1)
	body := lines(
		good,
		"",
		"{\"patient\": \""+thePatient+"\xff\"}",
		`{"patient":"`+thePatient+`","patient":"`+thePatient+`"}`,
		`{"patient":"`+thePatient+`","comment":"`+thePatient+`"}`,
		`{"consent":{}}`,
		strings.Repeat(thePatient, maxLine/len(thePatient)+1),
		grant(t, thePatient+"-unknown"),
		forged,
		good,
		"  "+other+"\r",
	)
	status, header, answer := s.send(http.MethodPost, consentsPath, "application/x-ndjson", body)
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	recorded := decode[Recorded](t, answer)
	require.Equal(t, 2, recorded.Recorded)
	require.Equal(t, 1, recorded.Known, "the same line again is harmless")
	require.Equal(t, 7, recorded.Refused)
	var numbers []int
	for _, p := range recorded.Problems {
		numbers = append(numbers, p.Line)
		require.NotEmpty(t, p.Title)
	}
	require.Equal(t, []int{3, 4, 5, 6, 7, 8, 9}, numbers)
	require.Equal(t, 413, recorded.Problems[4].Status)
	require.Equal(t, 404, recorded.Problems[5].Status)
	require.NotEmpty(t, recorded.Problems[6].Rule)
	require.NotContains(t, answer, thePatient)
	require.NotContains(t, s.logged.String(), thePatient)
}

func TestListedProblemsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _, answer := s.send(http.MethodPost, consentsPath, "application/x-ndjson", strings.NewReader(strings.Repeat("x\n", maxListed+5)))
	require.Equal(t, http.StatusOK, status)
	recorded := decode[Recorded](t, answer)
	require.Len(t, recorded.Problems, maxListed)
	require.Equal(t, maxListed+5, recorded.Refused)
}

// A store that fails ends the request: what the client does not hear of it
// sends again.
func TestAStoreThatFailsIsNoProblemOfALine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"locked":  {fmt.Errorf("record: %w", problem.New(problem.Unavailable, "busy")), 503},
		"bug":     {errors.New("bug with " + thePatient), 500},
		"no room": {fmt.Errorf("record %s: %w", thePatient, sqldb.ErrFull), 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.fail(c.err)
			status, header, answer := s.send(http.MethodPost, consentsPath, "application/x-ndjson", lines(grant(t, thePatient)))
			require.Equal(t, c.status, status)
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.NotContains(t, answer, thePatient)
		})
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n c"))
	f.Add([]byte(strings.Repeat("x", 100) + "\nshort\n" + strings.Repeat("y", 100)))
	f.Fuzz(func(t *testing.T, text []byte) {
		// A buffer of 16 bytes, the least there is: lines of 16 and more are too long.
		r := bufio.NewReaderSize(strings.NewReader(string(text)), 16)
		wanted := strings.SplitAfter(string(text), "\n")
		if wanted[len(wanted)-1] == "" {
			wanted = wanted[:len(wanted)-1]
		}
		for _, want := range wanted {
			line, err := readLine(r)
			if tooLong := len(want) > 16 || len(want) == 16 && !strings.HasSuffix(want, "\n"); tooLong {
				require.ErrorIs(t, err, errTooLong)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(want), string(line))
		}
		_, err := readLine(r)
		require.ErrorIs(t, err, io.EOF)
	})
}

func FuzzConsentLine(f *testing.F) {
	f.Add([]byte(`{"patient":"p","consent":{"version":1,"kind":"consent.grant","body":{}}}`))
	f.Add([]byte(`{"patient":"p","patient":"q"}`))
	f.Add([]byte("[[[[\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		one, err := parseConsent(line)
		if err != nil {
			require.ErrorIs(t, err, errLine, "an error quotes nothing")
			return
		}
		require.NotEmpty(t, one.Patient)
		_, err = json.Marshal(one)
		require.NoError(t, err)
	})
}
