package approval

import "github.com/trialmesh/trialmesh/protocol/query"

// Words says in plain English what a request asks, for who has to decide about it.
// The purpose is not part of it.
func Words(r query.Request) (string, error) {
	d, err := r.Definition()
	if err != nil {
		return "", err
	}
	return r.Analysis.Words() + ".\n" + d.Explain(), nil
}
