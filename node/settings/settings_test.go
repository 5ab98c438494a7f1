package settings_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/settings"
)

var kettle = settings.Of("a kettle")

type document struct {
	Liters int      `yaml:"liters"`
	Colors []string `yaml:"colors"`
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestSettingsAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const text = "# The big one.\nliters: 3\ncolors: [red]\n"
	write(t, dir, "big.yaml", text)
	var d document
	got, err := kettle.Read(dir, "big", &d)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	require.Equal(t, document{3, []string{"red"}}, d)

	write(t, dir, "empty.yaml", "# nothing yet\n")
	d = document{}
	_, err = kettle.Read(dir, "empty", &d)
	require.NoError(t, err)
	require.Zero(t, d)

	_, err = kettle.Read(dir, "small", &d)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown field": {"liters: 3\nlitres: 3", "line 2: field litres is no setting of a kettle"},
		"several":       {"litres: 3\nliters: x\nhot: true", "line 1: field litres is no setting of a kettle; line 2: want a whole number; line 3: field hot is no setting of a kettle"},
		"no YAML":       {"\tx", "it is no valid yaml: "},
		"no list":       {"colors: hidden red\n", "line 1: want a list"},
		"a list":        {"[hidden, 3]", "line 1: want settings"},
		"lines":         {"liters: |\n  hidden\n  into red\n", "line 1: want a whole number"},
		"two documents": {"liters: 3\n---\nliters: 4", "more than one YAML document"},
		"cut short":     {"liters: 3\n" + strings.Repeat("#", 1<<20), "over 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "one.yaml", c.text)
			_, err := kettle.Read(dir, "one", new(document))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "hidden")
			require.NotContains(t, err.Error(), dir)
		})
	}
}

func TestSettingsOfOneMebibyteAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const first = "liters: 3\n"
	write(t, dir, "one.yaml", first+strings.Repeat("#", 1<<20-len(first)))
	_, err := kettle.Read(dir, "one", new(document))
	require.NoError(t, err)
}

func TestNamesStayInTheFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "7", "big-one_2", strings.Repeat("a", 40)} {
		require.NoError(t, kettle.Check(name), name)
	}
	for _, name := range []string{"", "-a", "_a", "A", "a b", "a.b", "../a", "a/b", "a\n", "ä", strings.Repeat("a", 41)} {
		require.ErrorIs(t, kettle.Check(name), kettle.ErrName, "%q", name)
		_, err := kettle.Read(t.TempDir(), name, new(document))
		require.ErrorIs(t, err, kettle.ErrName, "%q", name)
	}
	require.EqualError(t, kettle.ErrName, "a kettle's name has 1 to 40 lower-case letters, digits, - and _, and begins with a letter or a digit")
	require.NotErrorIs(t, settings.Of("a kettle").ErrName, kettle.ErrName, "each package has its own")
}

func TestNamesOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list, err := settings.Names(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, list)
	for _, name := range []string{"b.yaml", "a.yaml", "Odd.yaml", "a.key", "yaml", "a.yaml.bak"} {
		write(t, dir, name, "")
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "c.yaml"), 0o700))
	list, err = settings.Names(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"Odd", "a", "b"}, list)
	_, err = settings.Names(filepath.Join(dir, "a.yaml"))
	require.Error(t, err)

	for i := range 998 {
		write(t, dir, fmt.Sprintf("n%d.yaml", i), "")
	}
	_, err = settings.Names(dir)
	require.ErrorContains(t, err, "has over 1000")
	require.NoError(t, os.Remove(filepath.Join(dir, "Odd.yaml")))
	list, err = settings.Names(dir)
	require.NoError(t, err)
	require.Len(t, list, 1000)
}
