// Package bucket keeps objects in S3, of Amazon or of any store that speaks its protocol.
//
// A [Bucket] is what lies in one bucket below one prefix. What [Bucket.Put] has stored is
// durable and seen by every process at once, whole; a failure half-way leaves nothing under
// the name. All waiting is bounded: a request that fails is tried four times, and a
// connection on which nothing moves for a minute is cut. Objects are stored as they are
// given: whoever has secrets encrypts them before.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// Limits of requests.
const (
	attempts   = 4
	maxBackoff = 5 * time.Second
	stalled    = time.Minute // without a byte on a connection
)

// brokenOff reports an answer that did not come to its end.
func brokenOff(err error) aws.Ternary {
	var unread *smithy.DeserializationError
	if errors.As(err, &unread) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// conflicts are what a store answers while another request to the same name is under way.
var conflicts = map[string]struct{}{"ConditionalRequestConflict": {}, "OperationAborted": {}}

// place says where a [Bucket] is.
type place struct {
	bucket, prefix   string
	region, endpoint string // "" for the SDK's own
}

var (
	bucketNames = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixes    = regexp.MustCompile(`^[A-Za-z0-9!_.'()-]+(/[A-Za-z0-9!_.'()-]+)*$`)
)

// parse reads a URL such as s3://bucket/prefix?region=eu-central-1&endpoint=https://host:9000.
func parse(text string) (place, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" {
		return place{}, errors.New("want s3://bucket/prefix?region=…&endpoint=…")
	}
	if u.User != nil {
		return place{}, errors.New("credentials do not belong into the address: give them by the environment, the file of the AWS tools, or the machine's role")
	}
	p := place{bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if !bucketNames.MatchString(p.bucket) {
		return place{}, errors.New("the name of a bucket has 3 to 63 lower-case letters, digits, dots and hyphens")
	}
	if p.prefix != "" && (!prefixes.MatchString(p.prefix) || path.Clean(p.prefix) != p.prefix) {
		return place{}, errors.New("a prefix has letters, digits and !_.'()-, in parts with slashes between")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return place{}, errors.New("what comes after the question mark is malformed")
	}
	for name, values := range query {
		switch {
		case len(values) != 1 || values[0] == "":
			return place{}, fmt.Errorf("%s: want it once, with a value", name)
		case name == "region":
			p.region = values[0]
		case name == "endpoint":
			p.endpoint = values[0]
		default:
			return place{}, errors.New("after the question mark there can be region and endpoint")
		}
	}
	return p, p.checkEndpoint()
}

// checkEndpoint refuses to send anything unprotected over a network.
func (p place) checkEndpoint() error {
	if p.endpoint == "" {
		return nil
	}
	u, err := url.Parse(p.endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return errors.New("endpoint: want https://host or https://host:port")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return errors.New("endpoint: want https; plain http goes to this machine only")
	}
	return nil
}

// Bucket is the objects of one bucket below one prefix. It is safe for concurrent use.
type Bucket struct {
	client *s3.Client
	name   string
	prefix string // "" or ending in a slash
	part   int64  // bytes of an object that are sent at once
}

// Config configures a [Bucket]. Address is required.
type Config struct {
	// Address is s3://bucket/prefix, with region and endpoint as parameters after a
	// question mark. An endpoint is another store than Amazon's; it is https or on this
	// machine.
	Address string

	// Transport sends the requests. Defaults to one of its own, which checks certificates,
	// also by those of AWS_CA_BUNDLE, and cuts connections on which nothing moves.
	Transport http.RoundTripper

	// Backoff is the longest wait before a request is tried again. Defaults to 5 s.
	Backoff time.Duration

	// Part is how much of an object is sent at once, in bytes: larger ones go in parts of
	// at least this size, of which S3 wants 5 MiB or more. Defaults to 16 MiB.
	Part int64
}

func (c Config) withDefaults() Config {
	if c.Backoff == 0 {
		c.Backoff = maxBackoff
	}
	if c.Part == 0 {
		c.Part = partSize
	}
	return c
}

// Open returns the bucket of an address. Credentials are those that the AWS tools would
// use: of the environment, of their files, or of the machine. Nothing is sent yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	c = c.withDefaults()
	p, err := parse(c.Address)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(watch)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, c.Backoff
				o.Retryables = append(o.Retryables, retry.RetryableErrorCode{Codes: conflicts}, retry.IsErrorRetryableFunc(brokenOff))
			})
		}))
	if err != nil {
		return nil, ofSettings(err)
	}
	if c.Transport == nil {
		own, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
		if !ok {
			return nil, errors.New("bucket: the settings of the AWS tools replace the client")
		}
		c.Transport = own.GetTransport()
	}
	cfg.HTTPClient = &http.Client{Transport: c.Transport, CheckRedirect: stay}
	switch {
	case p.region != "":
		cfg.Region = p.region
	case cfg.Region == "" && p.endpoint != "":
		cfg.Region = "us-east-1" // what other stores than Amazon's go by
	case cfg.Region == "":
		return nil, errors.New("bucket: no region: add ?region=… to the address or set AWS_REGION")
	}
	if cfg.Credentials != nil {
		cfg.Credentials = finder{cfg.Credentials}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
		if p.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &p.endpoint, true
		}
	})
	b := &Bucket{client: client, name: p.bucket, part: c.Part}
	if p.prefix != "" {
		b.prefix = p.prefix + "/"
	}
	return b, nil
}

// stay follows no redirection: it could lead off TLS.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// watch makes a transport cut connections on which nothing moves.
func watch(t *http.Transport) {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return moving{conn}, nil
	}
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = stalled
}

// moving is a connection on which something has to move.
type moving struct{ net.Conn }

func (c moving) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stalled)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c moving) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stalled)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
