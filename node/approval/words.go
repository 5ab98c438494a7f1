package approval

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Words says in plain English what a request asks, for who has to decide about it.
// The purpose is not part of it.
func Words(r query.Request) (string, error) {
	if r.Dataset != "" {
		return fmt.Sprintf("%s.\nThe cohort is everybody with a row in the data set %s.\n", r.Analysis.Words(), r.Dataset), nil
	}
	d, err := r.Definition()
	if err != nil {
		return "", err
	}
	return r.Analysis.Words() + ".\n" + d.Explain(), nil
}
