//go:build linux

package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHubInitTakesNoOriginThatNoHubRunsWith(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	for _, origin := range []string{"a b+c", "a+b", "", "a\nb"} {
		c := call(t, "hub", "init", "--dir", dir, "--origin", origin)
		require.Equal(t, exitUsage, c.status, origin)
		require.Contains(t, c.stderr, "no plus")
		require.NoDirExists(t, dir)
	}
	const odd = `*a:#'"[{%\`
	must(t, "hub", "init", "--dir", dir, "--origin", odd)
	var s hubSettings
	require.NoError(t, loadConfig(settingsCommand(t), filepath.Join(dir, hubConfigFile), "TRIALMESH_NO_HUB_", &s))
	require.Equal(t, odd, s.Origin)
}

func TestADirectoryThatInitDidNotMake(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "absent")} {
		for _, args := range [][]string{{"hub", "run"}, {"hub", "invite", "north"}, {"node", "run"}, {"node", "vocabulary", empty}, {"node", "status"}} {
			c := call(t, append(args, "--dir", dir)...)
			require.Equal(t, exitError, c.status)
			require.Equal(t, "trialmesh: no "+args[0]+" in "+dir+": "+args[0]+" init makes one\n", c.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^trialmesh version \S+$`, must(t, "--version"))
}
