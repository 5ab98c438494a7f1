package consent

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Changes is what a node signs of changes in its consent tree of one trial: which list
// they are and which root they lead to. The list is a document of its own, so that who
// checks an answer need not fetch it.
type Changes struct {
	Trial  trial.ID     `json:"trial"`
	Node   identity.DID `json:"node"`
	Number uint64       `json:"number"` // 1, 2, 3… per node and trial

	// Before and After are the roots of the tree.
	Before Element `json:"before"`
	After  Element `json:"after"`

	// Leaves is the SHA-256 of the list of [Change] in canonical form.
	Leaves message.Digest `json:"leaves"`
}

// Change is one leaf's. Whether somebody said something or the leaf only got another
// blind does not show.
type Change struct {
	Index int     `json:"index"`
	Old   Element `json:"old"`
	New   Element `json:"new"`

	// Receipt commits to the message that the leaf states; see [LeafSecret.Receipt].
	Receipt message.Digest `json:"receipt"`
}

// MaxChanges bounds a list: a shard of the largest size comes into use at once.
const MaxChanges = 4096

// ErrChanges reports a list that no [Changes] may have.
var ErrChanges = problem.Refusal("consent.changes", "changes of consent leaves must be 1 to 4096, ascend, and change something each")

// LeavesDigest checks the form of a list and returns its digest.
func LeavesDigest(list []Change) (message.Digest, error) {
	if len(list) == 0 || len(list) > MaxChanges {
		return message.Digest{}, ErrChanges
	}
	for i, c := range list {
		if c.Old == c.New || c.Receipt.IsZero() || c.Index < 0 || i > 0 && c.Index <= list[i-1].Index {
			return message.Digest{}, ErrChanges
		}
	}
	raw, err := canonical.Marshal(list)
	return message.Sum(raw), err
}

// ChangesProtocol is the name under which the hub takes changes: a [Batch] in, a
// [Recorded] out. Sending one again, also signed again, is harmless.
const ChangesProtocol = "/trialmesh/consent-changes/1"

// Batch is changes with their list.
type Batch struct {
	Envelope message.Envelope `json:"envelope"` // of Changes
	Leaves   []Change         `json:"leaves"`
}

// maxBatch bounds a batch in bytes: 4,096 changes and their envelope.
const maxBatch = 2 << 20

// ParseBatch reads a batch from outside bytes. It checks form only.
func ParseBatch(raw []byte) (b Batch, err error) {
	if len(raw) > maxBatch {
		return b, ErrChanges
	}
	clean, err := canonical.Fields(raw)
	if err != nil {
		return b, errors.Join(message.ErrMalformed, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(clean))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&b) != nil {
		return Batch{}, message.ErrMalformed
	}
	return b, nil
}
