package secagg_test

import (
	"fmt"
	"testing"

	"github.com/trialmesh/trialmesh/federation/secagg"
)

// BenchmarkMember is what one of ten members computes in a whole session.
func BenchmarkMember(b *testing.B) {
	for _, words := range []int{32, 1100, 100_000} {
		w, x, vector := tenMembers(b, words)
		in := x.inboxes[w.sites[0].did()]
		b.Run(fmt.Sprintf("words=%d", words), func(b *testing.B) {
			for b.Loop() {
				m := w.member(b, 0)
				_, err := m.Advertise(b.Context())
				must(b, err)
				_, err = m.Mask(b.Context(), x.roster, vector)
				must(b, err)
				_, err = m.Unmask(b.Context(), x.roster, x.survivors, x.confirmations, in)
				must(b, err)
			}
		})
	}
}

// BenchmarkMask is round 1 alone, at ten members.
func BenchmarkMask(b *testing.B) {
	for _, words := range []int{32, 1100, 100_000} {
		w, x, vector := tenMembers(b, words)
		m := w.member(b, 0)
		b.Run(fmt.Sprintf("words=%d", words), func(b *testing.B) {
			for b.Loop() {
				_, err := m.Mask(b.Context(), x.roster, vector)
				must(b, err)
			}
		})
	}
}

// BenchmarkSum is the hub's half at ten members of whom three dropped out.
func BenchmarkSum(b *testing.B) {
	for _, words := range []int{32, 1100, 100_000} {
		w, x, _ := tenMembers(b, words)
		b.Run(fmt.Sprintf("words=%d", words), func(b *testing.B) {
			for b.Loop() {
				_, err := secagg.Sum(w.session, x.roster, x.masked, x.reveals)
				must(b, err)
			}
		})
	}
}

func tenMembers(b *testing.B, words int) (network, transcript, []uint64) {
	b.Helper()
	w := newNetwork(10, words)
	vectors := make([][]uint64, 10)
	for i := range vectors {
		vectors[i] = make([]uint64, words)
	}
	return w, w.run(b, vectors, until{4, 4, 4, 4, 4, 4, 4, 1, 1, 1}), vectors[0]
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
