// Package pki gives every node a certificate for its identity key and takes it
// away again. It is the one door to smallstep.
//
// [Init] makes a certificate authority, [Open] loads it as an [Authority]. The
// hub's operator calls [Authority.Invite] and hands the text of the
// [Invitation] to a site; there [Client.Enroll] turns it into a [Certificate],
// and a [Renewer] keeps that fresh. [Handler] serves both over HTTPS, and
// [Authority.ServerTLS] is the configuration of that server.
//
// A node has one Ed25519 key. The certificate is for this key and carries the
// node's name (common name and DNS name) and its did:key (URI), so
// [Authority.VerifyClient], libp2p and a signed envelope all speak of the same
// node. Node certificates are for client authentication only: they can never
// pass for the hub.
//
// Whoever joins pins the root certificate: the invitation carries its SHA-256
// fingerprint, the hub sends the root with its handshake, and nothing is sent
// before the two agree. No system root is trusted and no first use.
//
// What must hold on every replica of a hub (a token is spent, a certificate was
// issued, a key is revoked) goes through [Store]. The package keeps nothing of
// it in memory and never reads the wall clock except through Config.Now; only
// smallstep's own checks of a token do, which come after ours.
package pki
