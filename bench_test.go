//go:build linux

package main

import (
	"testing"
	"time"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
)

// BenchmarkCount measures one count over three nodes, from the signed question to
// its committed result: a hub and the nodes are processes of their own, with TLS and
// libp2p between them. The proofs that follow are awaited outside the measurement.
func BenchmarkCount(b *testing.B) {
	m := newMesh(b)
	m.join(b)
	for b.Loop() {
		id := m.ask(b, trialOfThree, time.Minute)
		m.complete(b, m.answer(b, id, hubclient.WaitResult), 3)
		b.StopTimer()
		m.answer(b, id, hubclient.WaitProofs)
		b.StartTimer()
	}
}
