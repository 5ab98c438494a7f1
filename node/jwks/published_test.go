package jwks

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A name that became an address of this machine after it was checked leads nowhere.
func TestKeysAreNotFetchedFromThisMachine(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"127.0.0.1:443", "127.8.8.8:443", "[::1]:443", "[::ffff:127.0.0.1]:443", "0.0.0.0:443", "[::]:443", "169.254.169.254:443",
		"[fe80::1%eth0]:443", "[::ffff:169.254.169.254]:443", "224.0.0.1:443", "[ff02::1]:443", "localhost:443", "",
	} {
		require.Error(t, guarded("tcp", address, nil), address)
	}
	for _, address := range []string{"192.0.2.1:443", "10.1.2.3:443", "192.168.1.1:443", "[2001:db8::1]:443", "[fd00::1]:443"} {
		require.NoError(t, guarded("tcp", address, nil), address)
	}

	// By default connections are so guarded.
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, err = NewPublished(Config{}).http.Transport.(*http.Transport).DialContext(t.Context(), "tcp", listener.Addr().String())
	require.ErrorIs(t, err, errAddress)
}
