package mllp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mllp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is what messages are kept on.
type disk struct {
	mu    sync.Mutex
	files [][]byte
	err   error         // of every write
	held  chan struct{} // writes wait until it is closed, if it is there
}

func (d *disk) Accept(ctx context.Context, _ string, r io.Reader) (raw.Digest, ingest.JobID, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return raw.Digest{}, 0, err
	}
	d.mu.Lock()
	held, fails := d.held, d.err
	d.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return raw.Digest{}, 0, ctx.Err()
		}
	}
	if fails != nil {
		return raw.Digest{}, 0, fails
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, content)
	return raw.Digest{}, ingest.JobID(len(d.files)), nil
}

// controls returns the control ids of all messages that were kept, in order.
func (d *disk) controls(t *testing.T) (ids []string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		frames := hl7v2.NewFrameReader(bytes.NewReader(f), 0)
		for {
			m, err := frames.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			h, err := hl7v2.ParseHeader(m)
			require.NoError(t, err)
			ids = append(ids, h.ControlID)
		}
	}
	return ids
}

// size returns how many bytes were kept.
func (d *disk) size() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		n += len(f)
	}
	return n
}

// serve runs a listener until the test ends and returns its address.
func serve(t *testing.T, cfg mllp.Config) string {
	t.Helper()
	l, err := mllp.New(cfg)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return ln.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

func message(id string) []byte {
	return []byte("MSH|^~\\&|LAB|H1|NODE|H1|20260301080000||ORU^R01|" + id + "|P|2.5.1\rPID|1||17^^^H1\r")
}

func send(t *testing.T, conn net.Conn, m []byte) {
	t.Helper()
	require.NoError(t, hl7v2.WriteFrame(conn, m))
}

// answered reads one answer and returns its MSA and ERR segments.
func answered(t *testing.T, frames *hl7v2.FrameReader) (msa, fault string) {
	t.Helper()
	m, err := frames.Next()
	require.NoError(t, err)
	for _, segment := range strings.Split(string(m), "\r") {
		switch {
		case strings.HasPrefix(segment, "MSA|"):
			msa = segment
		case strings.HasPrefix(segment, "ERR|"):
			fault = segment
		}
	}
	return msa, fault
}

func TestMessagesAreAcknowledgedInOrderOnceTheyAreKept(t *testing.T) {
	t.Parallel()
	d := &disk{held: make(chan struct{})}
	conn := dial(t, serve(t, mllp.Config{Loads: d}))
	for i := range 10 {
		send(t, conn, message(fmt.Sprint("M", i)))
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout, "nothing is acknowledged before it is durable")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	close(d.held)
	frames := hl7v2.NewFrameReader(conn, 0)
	for i := range 10 {
		msa, fault := answered(t, frames)
		require.Equal(t, fmt.Sprint("MSA|AA|M", i), msa)
		require.Empty(t, fault)
	}
	require.Len(t, d.controls(t), 10)
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Less(t, len(d.files), 10, "what waits is written together")
}

func TestAMessageThatIsNotKeptIsSentAgain(t *testing.T) {
	t.Parallel()
	d := &disk{err: sqldb.ErrFull}
	conn := dial(t, serve(t, mllp.Config{Loads: d}))
	frames := hl7v2.NewFrameReader(conn, 0)
	send(t, conn, message("M1"))
	msa, fault := answered(t, frames)
	require.Equal(t, "MSA|AR|M1|not-kept", msa)
	require.Contains(t, fault, "send it again")
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	send(t, conn, message("M1"))
	msa, _ = answered(t, frames)
	require.Equal(t, "MSA|AA|M1", msa)
	require.Equal(t, []string{"M1"}, d.controls(t))
}

func TestWhatIsNoMessageIsRefusedAndTheNextIsTaken(t *testing.T) {
	t.Parallel()
	d := &disk{}
	conn := dial(t, serve(t, mllp.Config{Loads: d, MaxMessage: 1000}))
	frames := hl7v2.NewFrameReader(conn, 0)
	for _, bad := range [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("x"), 1001)} {
		send(t, conn, bad)
		msa, fault := answered(t, frames)
		require.True(t, strings.HasPrefix(msa, "MSA|AE|"), msa)
		require.NotEmpty(t, fault)
	}
	_, err := conn.Write([]byte("line noise"))
	require.NoError(t, err)
	send(t, conn, message("M1"))
	msa, _ := answered(t, frames)
	require.Equal(t, "MSA|AA|M1", msa)
	require.Equal(t, []string{"M1"}, d.controls(t))
}

func TestASenderThatReadsNoAnswersHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	d := &disk{}
	address := serve(t, mllp.Config{Loads: d, Answer: 200 * time.Millisecond})
	deaf := dial(t, address)
	gone := make(chan error, 1)
	go func() {
		for {
			if err := hl7v2.WriteFrame(deaf, message("DEAF")); err != nil {
				gone <- err
				return
			}
		}
	}()
	conn := dial(t, address)
	frames := hl7v2.NewFrameReader(conn, 0)
	for range 50 {
		send(t, conn, message("M1"))
		msa, _ := answered(t, frames)
		require.Equal(t, "MSA|AA|M1", msa)
	}
	select {
	case err := <-gone:
		require.Error(t, err)
	case <-time.After(time.Minute):
		require.Fail(t, "the deaf sender was not cut off")
	}
}

// TestSendersWaitForASlowDisk: what is in memory is bounded, whoever sends how much,
// and all of it is kept in the end.
func TestSendersWaitForASlowDisk(t *testing.T) {
	t.Parallel()
	const senders, each, size = 3, 64, 512 << 10
	d := &disk{held: make(chan struct{})}
	address := serve(t, mllp.Config{Loads: d})
	large := append(message("M1"), bytes.Repeat([]byte("ZXX|"), size/4)...)
	var sent atomic.Int64
	for range senders {
		conn := dial(t, address)
		require.NoError(t, conn.(*net.TCPConn).SetWriteBuffer(64<<10))
		go func() {
			for range each {
				if hl7v2.WriteFrame(conn, large) == nil {
					sent.Add(1)
				}
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	for before := int64(-1); before != sent.Load(); time.Sleep(500 * time.Millisecond) {
		before = sent.Load()
	}
	require.NotZero(t, sent.Load())
	require.Less(t, sent.Load()*size, int64(64<<20), "of %d MiB", senders*each*size>>20)
	close(d.held)
	require.Eventually(t, func() bool { return d.size() == senders*each*(len(large)+len("\x0b\x1c\r")) }, time.Minute, 100*time.Millisecond)
}

func TestOnlySoManySendersAreConnected(t *testing.T) {
	t.Parallel()
	d := &disk{}
	address := serve(t, mllp.Config{Loads: d, MaxConnections: 1, Idle: time.Second})
	first := dial(t, address)
	send(t, first, message("M1"))
	answered(t, hl7v2.NewFrameReader(first, 0))
	second := dial(t, address)
	_, err := second.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, err = first.Read(make([]byte, 1)) // silent for too long
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool {
		third := dial(t, address)
		if hl7v2.WriteFrame(third, message("M3")) != nil {
			return false
		}
		_, err := hl7v2.NewFrameReader(third, 0).Next()
		return err == nil
	}, time.Minute, 10*time.Millisecond, "there is a place again")
}

func TestConnectionsCanBeSecured(t *testing.T) {
	t.Parallel()
	certificate, pool := selfSigned(t)
	d := &disk{}
	address := serve(t, mllp.Config{Loads: d, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}})
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "node.test", MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer conn.Close()
	send(t, conn, message("M1"))
	msa, _ := answered(t, hl7v2.NewFrameReader(conn, 0))
	require.Equal(t, "MSA|AA|M1", msa)

	plain := dial(t, address)
	_, _ = plain.Write([]byte("\x0b"))
	send(t, plain, message("M2"))
	_, err = hl7v2.NewFrameReader(plain, 0).Next()
	require.Error(t, err)
	require.Equal(t, []string{"M1"}, d.controls(t))
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"node.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestAListenerThatStopsAnswersWhatItKept(t *testing.T) {
	t.Parallel()
	d := &disk{}
	l, err := mllp.New(mllp.Config{Loads: d})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, ln) }()
	conn := dial(t, ln.Addr().String())
	acknowledged := 0
	go func() {
		for i := 0; ; i++ {
			if hl7v2.WriteFrame(conn, message(fmt.Sprint("M", i))) != nil {
				return
			}
		}
	}()
	frames := hl7v2.NewFrameReader(conn, 0)
	for {
		m, err := frames.Next()
		if err != nil {
			break
		}
		if bytes.Contains(m, []byte("MSA|AA|")) {
			if acknowledged++; acknowledged == 100 {
				cancel()
			}
		}
	}
	require.NoError(t, <-done)
	require.GreaterOrEqual(t, len(d.controls(t)), acknowledged, "nothing is acknowledged that was not kept")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []mllp.Config{{}, {Loads: &disk{}, MaxMessage: -1}, {Loads: &disk{}, MaxConnections: -1}, {Loads: &disk{}, Idle: -1}} {
		_, err := mllp.New(cfg)
		require.Error(t, err)
	}
}
