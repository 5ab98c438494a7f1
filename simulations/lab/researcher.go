package main

import (
	"fmt"
	"path/filepath"
	"time"
)

// researcherTime is how long the researcher's token holds.
const researcherTime = 30 * 24 * time.Hour

// peopleDir holds the keys of the people, and what the researcher needs.
func (w *world) peopleDir() string { return filepath.Join(w.dir, "people") }

// equipResearcher puts beside the researcher's key what a hub's operator gives to a
// researcher: the root certificate and a token.
func (w *world) equipResearcher() error {
	operator, err := w.client("operator")
	if err != nil {
		return err
	}
	defer operator.Close()
	token, err := operator.IssueToken(w.ctx, w.researcher.DID(), "researcher", researcherTime)
	if err != nil {
		return fmt.Errorf("the researcher's token: %w", err)
	}
	root, _ := w.hub.RootPEM()
	for name, content := range map[string]string{"researcher.token": token.Token + "\n", "root.pem": string(root)} {
		if err := writeWhole(filepath.Join(w.peopleDir(), name), content); err != nil {
			return err
		}
	}
	return nil
}
