package approval

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Words says in plain English what a request asks, for who has to decide about it. Concepts
// are numbers: what the researcher calls them is not repeated; [Read] has the site's names.
// The purpose is not part of it.
func Words(r query.Request) (string, error) {
	d, err := r.Definition()
	if err != nil {
		return "", err
	}
	return r.Analysis.Words() + ".\n" + d.ExplainNamed(func(id int64, _ string) string { return fmt.Sprintf("concept %d", id) }), nil
}
