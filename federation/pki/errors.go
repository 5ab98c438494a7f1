package pki

import (
	"errors"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// What the authority refuses. They cross the network as problem documents, so
// errors.Is finds them at the node, too.
var (
	// ErrToken: altered, cut, or made by another authority. Ask for a new invitation.
	ErrToken = problem.Refusal("pki.token", "the enrollment token was not issued by this hub")
	// ErrTokenExpired: ask for a new invitation.
	ErrTokenExpired = problem.Refusal("pki.token-expired", "the enrollment token has expired")
	// ErrTokenUsed: somebody has enrolled with it. If that was not this node, revoke the other.
	ErrTokenUsed = problem.Refusal("pki.token-used", "the enrollment token was used before")
	// ErrRequest: the certificate request is malformed or not for an Ed25519 key.
	ErrRequest = problem.New(problem.Invalid, "the certificate request is malformed, or not signed by an Ed25519 key")
	// ErrName: the certificate request asks for more or for another name than the token grants.
	ErrName = problem.Refusal("pki.name", "the certificate request is not for exactly the invited name")
	// ErrCertificate: another authority's certificate, or not a node's, or not for this key.
	ErrCertificate = problem.Refusal("pki.certificate", "the certificate is not a node certificate of this hub")
	// ErrExpired: renewal comes too late. The node needs a new invitation.
	ErrExpired = problem.Refusal("pki.expired", "the certificate has expired")
	// ErrRevoked: the hub's operator took the certificate or the key away.
	ErrRevoked = problem.Refusal("pki.revoked", "the certificate or its key is revoked")
	// ErrReplayed: this renewal request was answered before.
	ErrReplayed = problem.Refusal("pki.replayed", "the renewal request was used before")
	// ErrMalformed: the body is not the JSON that this endpoint reads.
	ErrMalformed = problem.New(problem.Invalid, "the request body is malformed")
	// ErrTooLarge: the body is over the limit of this endpoint.
	ErrTooLarge = problem.New(problem.TooLarge, "the request body is over 64 KiB")
)

// What happens on this side of the network.
var (
	// ErrExists reports that Init found something where it should make an authority.
	ErrExists = errors.New("pki: the directory is not empty")
	// ErrPermissions reports a file of a key that others may read: chmod 600.
	ErrPermissions = errors.New("pki: the file is open to group or others, want mode 0600")
	// ErrSealingKey reports a sealing key that does not open a key file, or is none.
	ErrSealingKey = errors.New("pki: the sealing key does not open the key file")
	// ErrInvitation reports text that is not an invitation this program reads.
	ErrInvitation = errors.New("pki: not a valid invitation")
	// ErrInvitationExpired reports an invitation past its time: ask for a new one.
	ErrInvitationExpired = errors.New("pki: the invitation has expired")
	// ErrUndecided reports a request that reached the hub and that it did not surely
	// refuse: the answer is lost or of no use. An enrollment may have happened; keep
	// the key and enroll it again, with a new invitation if the token was used.
	ErrUndecided = errors.New("pki: the hub may have done it, but its answer is lost or of no use")
	// ErrRoot reports a server that does not lead to the pinned root: a wrong
	// address, or somebody between this node and its hub.
	ErrRoot = errors.New("pki: the server's certificate does not lead to the pinned root")
)

// foreign returns what a caller may act on of an error that passed through
// smallstep, whose errors carry the token and the request along as details.
func foreign(err error) error {
	if p, found := errors.AsType[*problem.Error](err); found {
		return p
	}
	return errors.New(err.Error())
}
