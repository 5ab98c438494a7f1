package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/consent"
	"github.com/trialmesh/trialmesh/node/extract"
	"github.com/trialmesh/trialmesh/node/extract/anonymity"
	wire "github.com/trialmesh/trialmesh/protocol/consent"
)

func TestWhatAnExtractNeedsOfANode(t *testing.T) {
	t.Parallel()
	dir, _ := enrolled(t, newCertifier(t))
	cfg := Config{Dir: dir, Circuits: t.TempDir()}
	n, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	defer n.Close()
	spec, err := extract.Parse([]byte("version: 1\nstudy: one\n"))
	require.NoError(t, err)
	key := filepath.Join(dir, studiesDir, "one.key")

	_, err = Extract(t.Context(), cfg, Extraction{Spec: spec})
	require.ErrorIs(t, err, anonymity.ErrUnreachable, "nobody is in the store, also while the node has its directory")
	require.NoFileExists(t, key, "a dry run makes no key")

	to := filepath.Join(t.TempDir(), "out")
	_, err = Extract(t.Context(), cfg, Extraction{Spec: spec, To: to, Trial: "glucose-1"})
	require.ErrorIs(t, err, consent.ErrNoEpoch)
	require.NoFileExists(t, key)
	_, err = Extract(t.Context(), cfg, Extraction{Spec: spec, To: to})
	require.ErrorIs(t, err, anonymity.ErrUnreachable)
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoDirExists(t, to)

	_, err = Extract(t.Context(), cfg, Extraction{Spec: spec, To: filepath.Join(dir, "out")})
	require.ErrorContains(t, err, "lies in the node's directory")
}

func TestScopesOfAnExtract(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]wire.Mask{
		"tables: []": wire.MaskOf(wire.RecordAccess, wire.Demographics),
		"tables: [{table: drug_exposure}]\nsensitive: [{name: hiv, table: condition_occurrence, concepts: [439727]}]": wire.MaskOf(
			wire.RecordAccess, wire.Demographics, wire.Medications, wire.Immunizations, wire.Conditions),
		"": wire.MaskOf(wire.RecordAccess, wire.Demographics, wire.Visits, wire.Conditions, wire.Medications, wire.Immunizations,
			wire.Procedures, wire.Measurements),
	} {
		spec, err := extract.Parse([]byte("version: 1\nstudy: one\n" + text))
		require.NoError(t, err)
		require.Equal(t, want, scopesOf(spec), text)
	}
}
