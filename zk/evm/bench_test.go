package evm_test

import (
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// BenchmarkGas reports what each write costs, base cost and calldata included. The time is that
// of a round trip to the chain in this process.
func BenchmarkGas(b *testing.B) {
	toy()
	b.Run("deploy all", func(b *testing.B) {
		e, _ := inProcess(b, inprocess.Config{})
		key := e.fundedKey(b)
		chain, err := ethclient.Dial(e.url)
		require.NoError(b, err)
		defer chain.Close()
		var gas uint64
		for b.Loop() {
			before, err := chain.BlockNumber(b.Context())
			require.NoError(b, err)
			d := e.deploy(b, key)
			for block := before + 1; block <= d.Block; block++ {
				header, err := chain.HeaderByNumber(b.Context(), new(big.Int).SetUint64(block))
				require.NoError(b, err)
				gas += header.GasUsed
			}
		}
		b.ReportMetric(float64(gas)/float64(b.N), "gas/op")
	})
	n := uint64(0)
	for name, write := range map[string]func(*testing.B, *evm.Client) (evm.Receipt, error){
		"anchor": func(b *testing.B, c *evm.Client) (evm.Receipt, error) {
			return c.Anchor(b.Context(), n, [32]byte{1})
		},
		"root, first of its node": func(b *testing.B, c *evm.Client) (evm.Receipt, error) {
			return c.PostRoots(b.Context(), []evm.Root{{Node: evm.Node(number(n)), Digest: [32]byte{1}, LedgerIndex: n}})
		},
		"root": func(b *testing.B, c *evm.Client) (evm.Receipt, error) {
			return c.PostRoots(b.Context(), []evm.Root{{Digest: number(n), LedgerIndex: n}})
		},
		"access": func(b *testing.B, c *evm.Client) (evm.Receipt, error) {
			b.StopTimer()
			a := toy().access(b, evm.Node{1}, evm.QueryHash(number(n)), 5)
			b.StartTimer()
			return c.LogAccess(b.Context(), a)
		},
	} {
		b.Run(name, func(b *testing.B) {
			_, _, client := ready(b)
			// The first write of all fills empty slots; it is not what is usual.
			n++
			_, err := write(b, client)
			require.NoError(b, err)
			var gas uint64
			for b.Loop() {
				n++
				receipt, err := write(b, client)
				require.NoError(b, err)
				gas += receipt.Gas
			}
			b.ReportMetric(float64(gas)/float64(b.N), "gas/op")
		})
	}
	b.Run("verify, free of gas", func(b *testing.B) {
		_, _, client := ready(b)
		a := toy().access(b, evm.Node{1}, evm.QueryHash{0, 1}, 5)
		for b.Loop() {
			require.NoError(b, client.VerifyAccess(b.Context(), a))
		}
	})
}

func number(n uint64) (word [32]byte) {
	binary.BigEndian.PutUint64(word[24:], n)
	return word
}
