package pull

import "github.com/trialmesh/trialmesh/connectors/partner/fhirserver"

// MakeKey makes the key of a pull for an algorithm of package fhirserver, if it has none yet,
// and returns the key that it has. The settings of the pull need not be there.
func MakeKey(dir, name, algorithm string) (key fhirserver.Key, made bool, err error) {
	if err := files.Check(name); err != nil {
		return key, false, err
	}
	return fhirserver.MakeKey(fhirserver.KeyFile(dir, name), algorithm)
}
