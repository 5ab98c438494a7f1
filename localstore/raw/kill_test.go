package raw

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childDir is the variable that turns this test binary into a process that appends to
// a partial file until it is killed.
const childDir = "TRIALMESH_TEST_RAW_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, appendForever(dir))
		os.Exit(1)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// sequence is the byte at each offset of what the child appends.
type sequence struct{ at int64 }

func (s *sequence) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte((s.at + int64(i)) * 31 >> 3)
	}
	s.at += int64(len(p))
	return len(p), nil
}

// appendForever prints every size that it was told is durable.
func appendForever(dir string) error {
	s, err := Open(Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
	if err != nil {
		return err
	}
	p := s.Partial(someID)
	for {
		at, err := p.Size(context.Background())
		if err != nil {
			return err
		}
		fmt.Println(at)
		n, err := p.Append(context.Background(), at, io.LimitReader(&sequence{at}, 1+rand.Int64N(1<<20)), noLimit)
		if err != nil {
			return err
		}
		fmt.Println(at + n)
	}
}

func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, CreateKey(filepath.Join(dir, "raw.key")))
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var told int64
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			first := told == 0
			told, err = strconv.ParseInt(lines.Text(), 10, 64)
			require.NoError(t, err)
			if first && told > 0 {
				time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = cmd.Process.Kill() }) // SIGKILL
			}
		}
		require.Error(t, cmd.Wait())
		require.Empty(t, stderr.String(), "it ended because it was killed")

		s, err := Open(Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
		require.NoError(t, err)
		size, err := s.Partial(someID).Size(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, size, told, "round %d", round)
		got, err := whole(s.Partial(someID))
		require.NoError(t, err)
		want := make([]byte, size)
		_, _ = io.ReadFull(&sequence{}, want)
		require.True(t, bytes.Equal(want, got), "round %d: %d bytes", round, size)
	}
}
