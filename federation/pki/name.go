package pki

import (
	"errors"
	"net"
	"strings"
)

// maxName keeps a name within an X.509 common name (64, RFC 5280 appendix A)
// and a DNS label's length.
const maxName = 63

var errName = errors.New("pki: a node's name is 1 to 63 of a-z, 0-9, hyphen and dot, like a host name, and no address")

// checkName accepts lower-case host names such as "st-olav" or
// "lab.hospital.example". An address would become another kind of entry in the
// certificate, and so would be checked by other rules.
func checkName(name string) error {
	if name == "" || len(name) > maxName || net.ParseIP(name) != nil {
		return errName
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return errName
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return errName
			}
		}
	}
	return nil
}
