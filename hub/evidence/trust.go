package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Trust is what a reader knows beforehand, from another way than the log. The
// document a hub serves is one without Circuits and Boards.
type Trust struct {
	entry.Trust

	// Circuits are the verifying keys whose proofs count. Without any, those that
	// the log registers do, and the report says that this rests on the hub.
	Circuits []Circuit `json:"circuits,omitempty"`

	// Boards are the ethics boards whose approval counts. Without any, every
	// signed approval does, and the report says by whom it is.
	Boards []identity.DID `json:"boards,omitempty"`

	// Cosigners says who must have countersigned the log; it comes as a file of its
	// own. Without it the log's key is enough.
	Cosigners cosign.Policy `json:"-"`

	// Seen are signed checkpoints of the log that somebody else was shown, or the same
	// reader earlier. The log must have all of them.
	Seen [][]byte `json:"-"`
}

// Circuit is a trusted verifying key.
type Circuit struct {
	// Key is the SHA-256 of the verifying key.
	Key message.Digest `json:"key"`

	// Development says that whoever made the key could forge proofs.
	Development bool `json:"development,omitempty"`
}

const maxTrust = 1 << 20 // bytes of a trust document

// ParseTrust reads a trust document in JSON. Unknown fields refuse: a
// restriction that is misspelled would be no restriction.
func ParseTrust(raw []byte) (Trust, error) {
	var t Trust
	if len(raw) > maxTrust {
		return t, fmt.Errorf("trust document: more than %d bytes", maxTrust)
	}
	clean, err := canonical.Transform(raw)
	if err != nil {
		return t, fmt.Errorf("trust document: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(clean))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return Trust{}, fmt.Errorf("trust document: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := t.Validate(); err != nil {
		return Trust{}, err
	}
	return t, nil
}

// Validate reports the first thing that is missing or wrong.
func (t Trust) Validate() error {
	for _, did := range append([]identity.DID{t.Hub}, t.Boards...) {
		if _, err := did.PublicKey(); err != nil {
			return fmt.Errorf("trust document: hub or board: %w", err)
		}
	}
	if err := t.log().Validate(); err != nil {
		return fmt.Errorf("trust document: %w", err)
	}
	if len(t.Cosigners.Logs) > 0 && !slices.Contains(t.Cosigners.Logs, t.LogKey) {
		return errors.New("trust document: logKey is not a log of the policy")
	}
	if t.AccessLog != "" {
		if _, err := t.venue().Hash("", query.ID{}); err != nil {
			return fmt.Errorf("trust document: accessLog: %w", err)
		}
	}
	return nil
}

func (t Trust) log() cosign.Trust {
	return cosign.Trust{Origin: t.Origin, Keys: []string{t.LogKey}, Policy: t.Cosigners}
}

// venue is where access proofs must have been made for.
func (t Trust) venue() query.Venue { return query.Venue{ChainID: t.ChainID, Contract: t.AccessLog} }
