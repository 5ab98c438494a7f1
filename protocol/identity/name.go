package identity

import (
	"net"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// maxName bounds a node's name, in bytes. It keeps the name within an X.509
// common name (64, RFC 5280 appendix A) and a DNS label's length.
const maxName = 63

// ErrName reports what cannot be a node's name.
var ErrName = problem.New(problem.Invalid, "name: 1 to 63 of a-z, 0-9, hyphen and dot, like a host name, and no address")

// CheckName accepts what a node may be called in its network: lower-case host
// names such as "st-olav" or "lab.hospital.example". An address would become
// another kind of entry in the node's certificate, and so would be checked by
// other rules.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || net.ParseIP(name) != nil {
		return ErrName
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return ErrName
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return ErrName
			}
		}
	}
	return nil
}
