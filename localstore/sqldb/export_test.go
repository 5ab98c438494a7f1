package sqldb

import "strings"

// Verifies reports whether every connection that a guest's address stands for verifies the
// server, and that blanks in it stay what they are.
func Verifies(address string) (bool, error) {
	pc, err := guestConfig(address)
	if err != nil {
		return false, err
	}
	verified := pc.ConnConfig.TLSConfig != nil && !pc.ConnConfig.TLSConfig.InsecureSkipVerify
	for _, other := range pc.ConnConfig.Fallbacks {
		verified = verified && other.TLSConfig != nil && !other.TLSConfig.InsecureSkipVerify
	}
	return verified && !strings.Contains(pc.ConnConfig.RuntimeParams["options"], "+"), nil
}
