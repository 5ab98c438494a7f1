package bucket

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

// TestMissingCredentialsNameWhatToSet in our words, and hold nothing of what is set.
func TestMissingCredentialsNameWhatToSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"nothing":        {nil, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		"no secret":      {map[string]string{"AWS_ACCESS_KEY_ID": "hidden"}, "AWS_SECRET_ACCESS_KEY is not"},
		"no id":          {map[string]string{"AWS_SECRET_ACCESS_KEY": "hidden"}, "AWS_ACCESS_KEY_ID is not"},
		"a profile":      {map[string]string{"AWS_PROFILE": "hidden"}, "AWS_PROFILE"},
		"a web identity": {map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "hidden", "AWS_PROFILE": "hidden"}, "AWS_ROLE_ARN"},
	} {
		got := missing(func(variable string) string { return c.set[variable] })
		require.Contains(t, got, c.want, name)
		require.NotContains(t, got, "hidden", name)
	}
}

// noRole is a machine without a role.
type noRole struct{}

func (noRole) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, errors.New("no EC2 IMDS role found")
}

func TestWithoutCredentialsNothingIsSent(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method }))
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Config{Address: "s3://site?endpoint=" + server.URL, Backoff: time.Nanosecond})
	require.NoError(t, err)
	own := b.client.Options()
	own.Credentials = finder{noRole{}}
	b.client = s3.New(own)
	require.EqualError(t, put(b, "x", "content", false), "bucket: put: "+missing(os.Getenv))
	require.Empty(t, asked)
}

// TestRefusedCredentialsNameTheirSetting: what the store answers is told by its code only.
func TestRefusedCredentialsNameTheirSetting(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"InvalidAccessKeyId": "AWS_ACCESS_KEY_ID", "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY", "ExpiredToken": "AWS_SESSION_TOKEN",
		"InvalidToken": "AWS_SESSION_TOKEN", "RequestTimeTooSkewed": "clock", "AccessDenied": "permissions",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<Error><Code>` + code + `</Code><Message>for hidden</Message><RequestId>hidden</RequestId></Error>`))
		}))
		t.Cleanup(server.Close)
		b, err := Open(t.Context(), Config{Address: "s3://site?endpoint=" + server.URL, Backoff: time.Nanosecond})
		require.NoError(t, err)
		err = put(b, "x", "content", false)
		require.ErrorContains(t, err, want, code)
		require.ErrorContains(t, err, "("+code+")")
		require.NotContains(t, err.Error(), "hidden")
		require.NotContains(t, err.Error(), "operation error")
	}
}
