package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// newBucket is a bucket of an S3 behind a real connection.
func newBucket(t testing.TB, prefix string) *Bucket {
	t.Helper()
	fake := s3mem.New()
	require.NoError(t, fake.CreateBucket("site"))
	server := httptest.NewServer(gofakes3.New(fake).Server())
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Config{Address: "s3://site/" + prefix + "?endpoint=" + server.URL, Part: 1000, Backoff: time.Nanosecond})
	require.NoError(t, err)
	return b
}

func put(b *Bucket, name, content string, replace bool) error {
	return b.Put(context.Background(), name, strings.NewReader(content), int64(len(content)), replace)
}

func get(t testing.TB, b *Bucket, name string) string {
	t.Helper()
	f, size, err := b.Get(t.Context(), name)
	require.NoError(t, err)
	defer f.Close()
	content, err := io.ReadAll(f)
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
	return string(content)
}

func TestAnObjectIsWhatWasPut(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "north/raw"} {
		b := newBucket(t, prefix)
		for _, size := range []int{0, 1, 999, 1000, 1001, 4567} {
			content := strings.Repeat("0123456", size)[:size]
			name := fmt.Sprintf("a folder/of %d", size)
			require.NoError(t, put(b, name, content, false))
			require.Equal(t, content, get(t, b, name))
			require.ErrorIs(t, put(b, name, "another", false), fs.ErrExist)
			require.Equal(t, content, get(t, b, name))
			require.NoError(t, put(b, name, content+"!", true))
			require.Equal(t, content+"!", get(t, b, name))
			require.NoError(t, b.Remove(t.Context(), name, name))
			_, _, err := b.Get(t.Context(), name)
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
	}
}

func TestAListHasAllPagesAndOnlyItsOwn(t *testing.T) {
	t.Parallel()
	b := newBucket(t, "north")
	other := *b
	other.prefix = "north2/"
	require.NoError(t, put(&other, "x/y", "z", true))
	var want []string
	for i := range 1007 { // a page has 1,000
		name := fmt.Sprintf("index/%04d", i)
		want = append(want, name)
		require.NoError(t, put(b, name, "x", true))
	}
	require.NoError(t, put(b, "indexed", "x", true))
	var got []string
	require.NoError(t, b.List(t.Context(), "index/", func(name string, at time.Time) error {
		require.WithinDuration(t, time.Now(), at, time.Hour)
		got = append(got, name)
		return nil
	}))
	require.Equal(t, want, got)
	enough := errors.New("enough")
	require.ErrorIs(t, b.List(t.Context(), "", func(string, time.Time) error { return enough }), enough)
}

// TestWhatWasNotEndedIsGivenUp: of a process that died, but not of one that may go on.
func TestWhatWasNotEndedIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBucket(t, "north")
	require.NoError(t, b.Abort(t.Context(), time.Now()), "there is none")
	begun, err := b.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: ptr("north/x")})
	require.NoError(t, err)
	send := func() error {
		_, err := b.sendParts(t.Context(), "north/x", begun.UploadId, bytes.NewReader(make([]byte, 2000)), 2000)
		return err
	}
	require.NoError(t, b.Abort(t.Context(), time.Now().Add(-time.Hour)))
	require.NoError(t, send(), "it goes on")
	require.NoError(t, b.Abort(t.Context(), time.Now().Add(time.Hour)))
	require.ErrorIs(t, meaning(send()), fs.ErrNotExist)
	_, _, err = b.Get(t.Context(), "x")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestABucketThatIsNotThereIsNoMissingObject(t *testing.T) {
	t.Parallel()
	b := newBucket(t, "")
	b.name = "another"
	_, _, err := b.Get(t.Context(), "x")
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	good := map[string]place{
		"s3://patients?region=eu-central-1":                    {bucket: "patients", region: "eu-central-1"},
		"s3://patients/north/raw/?endpoint=https://s3.example": {bucket: "patients", prefix: "north/raw", endpoint: "https://s3.example"},
		"s3://patients/x?endpoint=http://[::1]:9000":           {bucket: "patients", prefix: "x", endpoint: "http://[::1]:9000"},
		"s3://patients/x?endpoint=http://localhost:9000/":      {bucket: "patients", prefix: "x", endpoint: "http://localhost:9000/"},
	}
	for text, want := range good {
		got, err := parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"/var/raw":                                       "s3://",
		"s3://key:s3cret@bkt":                            "credentials",
		"s3://UPPER":                                     "lower-case",
		"s3://bkt/a/../b":                                "prefix",
		"s3://bkt/a//b":                                  "prefix",
		"s3://bkt?secret=s3cret":                         "region and endpoint",
		"s3://bkt?region=a&region=b":                     "once",
		"s3://bkt?region=":                               "with a value",
		"s3://bkt?endpoint=http://10.1.2.3:9000":         "https",
		"s3://bkt?endpoint=http://localhost.example":     "https",
		"s3://bkt?endpoint=ftp://localhost":              "https",
		"s3://bkt?endpoint=https://key:s3cret@s.example": "https://host",
		"s3://bkt?endpoint=https://s.example/path":       "https://host",
	} {
		_, err := Open(t.Context(), Config{Address: text})
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "s3cret", text)
	}
	_, err := Open(t.Context(), Config{Address: "s3://bkt"})
	require.ErrorContains(t, err, "region")
}

// TestWhoeverIsNotTheEndpointIsNotSpokenTo: its certificate is checked, and nobody is sent
// elsewhere.
func TestWhoeverIsNotTheEndpointIsNotSpokenTo(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	answer := func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	}
	secured := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(secured.Close)
	secured.Config.ErrorLog = nil
	b, err := Open(t.Context(), Config{Address: "s3://site?endpoint=" + secured.URL, Backoff: time.Nanosecond})
	require.NoError(t, err)
	_, _, err = b.Get(t.Context(), "x")
	require.ErrorContains(t, err, "certificate")
	require.Empty(t, asked)

	plain := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(plain.Close)
	b, err = Open(t.Context(), Config{Address: "s3://site?endpoint=" + plain.URL, Backoff: time.Nanosecond})
	require.NoError(t, err)
	_, _, err = b.Get(t.Context(), "x")
	require.ErrorContains(t, err, "307")
	require.Equal(t, "GET", <-asked)
}

// TestAConnectionSetsItsDeadlines: each read and write moves the moment at which it is cut.
func TestAConnectionSetsItsDeadlines(t *testing.T) {
	t.Parallel()
	c := &deadlines{}
	_, _ = moving{c}.Read(nil)
	_, _ = moving{c}.Write(nil)
	require.Equal(t, []string{"read", "write"}, c.set)
	for _, d := range c.left {
		require.InDelta(t, stalled, d, float64(stalled/2))
	}
}

type deadlines struct {
	net.Conn

	set  []string
	left []time.Duration
}

func (d *deadlines) note(what string, at time.Time) error {
	d.set, d.left = append(d.set, what), append(d.left, time.Until(at))
	return nil
}
func (d *deadlines) SetReadDeadline(at time.Time) error  { return d.note("read", at) }
func (d *deadlines) SetWriteDeadline(at time.Time) error { return d.note("write", at) }
func (d *deadlines) Read([]byte) (int, error)            { return 0, io.EOF }
func (d *deadlines) Write([]byte) (int, error)           { return 0, nil }

// BenchmarkPut and BenchmarkGet move 64 MiB, and the Bare ones do so by the bare SDK in
// one request.
func BenchmarkPut(b *testing.B) {
	bucket, content := newBucket(b, ""), bytes.NewReader(slices.Repeat([]byte{1, 2, 3, 4}, 16<<20))
	bucket.part = partSize
	b.SetBytes(content.Size())
	for b.Loop() {
		require.NoError(b, bucket.Put(b.Context(), "x", content, content.Size(), true))
	}
}

func BenchmarkBarePut(b *testing.B) {
	bucket, content := newBucket(b, ""), bytes.NewReader(slices.Repeat([]byte{1, 2, 3, 4}, 16<<20))
	b.SetBytes(content.Size())
	for b.Loop() {
		_, err := bucket.client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &bucket.name, Key: ptr("x"), Body: io.NewSectionReader(content, 0, content.Size())})
		require.NoError(b, err)
	}
}

func BenchmarkGet(b *testing.B) {
	bucket, content := newBucket(b, ""), bytes.NewReader(make([]byte, 64<<20))
	bucket.part = partSize
	require.NoError(b, bucket.Put(b.Context(), "x", content, content.Size(), true))
	b.SetBytes(content.Size())
	for b.Loop() {
		f, _, err := bucket.Get(b.Context(), "x")
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, f)
		require.NoError(b, errors.Join(err, f.Close()))
	}
}

func BenchmarkBareGet(b *testing.B) {
	bucket, content := newBucket(b, ""), bytes.NewReader(make([]byte, 64<<20))
	bucket.part = partSize
	require.NoError(b, bucket.Put(b.Context(), "x", content, content.Size(), true))
	b.SetBytes(content.Size())
	for b.Loop() {
		got, err := bucket.client.GetObject(b.Context(), &s3.GetObjectInput{Bucket: &bucket.name, Key: ptr("x")})
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, got.Body)
		require.NoError(b, errors.Join(err, got.Body.Close()))
	}
}
