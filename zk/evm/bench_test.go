package evm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

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
	ledger := newHistory(b, "", 4096, 0)
	for name, write := range map[string]func(*testing.B, *evm.Client, evm.Deployment) (evm.Receipt, error){
		"anchor": func(b *testing.B, c *evm.Client, _ evm.Deployment) (evm.Receipt, error) {
			return ledger.anchor(b, c, n)
		},
		"root, first of its node": func(b *testing.B, c *evm.Client, _ evm.Deployment) (evm.Receipt, error) {
			return c.PostRoots(b.Context(), []evm.Root{{Node: evm.Node(number(n)), Digest: [32]byte{1}, LedgerIndex: n}})
		},
		"root": func(b *testing.B, c *evm.Client, _ evm.Deployment) (evm.Receipt, error) {
			return c.PostRoots(b.Context(), []evm.Root{{Digest: number(n), LedgerIndex: n}})
		},
		"accept root": func(b *testing.B, c *evm.Client, _ evm.Deployment) (evm.Receipt, error) {
			return c.AcceptRoots(b.Context(), []evm.AcceptedRoot{{Node: toyNode(1), Root: [32]byte(digest(n)), Until: time.Now().Add(time.Hour)}})
		},
		"access": func(b *testing.B, c *evm.Client, d evm.Deployment) (evm.Receipt, error) {
			b.StopTimer()
			a := toy().access(b, d, toyNode(0), digest(n), 5)
			b.StartTimer()
			return c.LogAccess(b.Context(), a)
		},
		"access, in batches of 16": func(b *testing.B, c *evm.Client, d evm.Deployment) (evm.Receipt, error) {
			b.StopTimer()
			var batch []evm.Access
			for i := range byte(16) {
				batch = append(batch, toy().access(b, d, toyNode(i), digest(n), 5))
			}
			b.StartTimer()
			receipts, err := c.LogBatch(b.Context(), batch)
			if err != nil {
				return evm.Receipt{}, err
			}
			receipts[0].Gas /= 16
			return receipts[0], nil
		},
		"access, in batches of 16 questions": func(b *testing.B, c *evm.Client, d evm.Deployment) (evm.Receipt, error) {
			b.StopTimer()
			var batch []evm.Access
			for i := range byte(16) {
				batch = append(batch, toy().access(b, d, toyNode(0), digest(1000*n+uint64(i)), 5))
			}
			b.StartTimer()
			receipts, err := c.LogBatch(b.Context(), batch)
			if err != nil {
				return evm.Receipt{}, err
			}
			receipts[0].Gas /= 16
			return receipts[0], nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			_, cfg, client := ready(b)
			// The first write of all fills empty slots; it is not what is usual.
			n++
			_, err := write(b, client, cfg.Deployment)
			require.NoError(b, err)
			var gas uint64
			for b.Loop() {
				n++
				receipt, err := write(b, client, cfg.Deployment)
				require.NoError(b, err)
				gas += receipt.Gas
			}
			b.ReportMetric(float64(gas)/float64(b.N), "gas/op")
		})
	}
	b.Run("verify, free of gas", func(b *testing.B) {
		_, cfg, client := ready(b)
		a := toy().access(b, cfg.Deployment, toyNode(1), evm.Question{1}, 5)
		for b.Loop() {
			require.NoError(b, client.VerifyAccess(b.Context(), a))
		}
	})
}

func number(n uint64) (word [32]byte) {
	binary.BigEndian.PutUint64(word[24:], n)
	return word
}

// digest is a question as the ledger names them: no byte of it is cheap.
func digest(n uint64) evm.Question {
	word := number(n)
	return sha256.Sum256(word[:])
}
