package evm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

func TestParseDeploymentRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":          ``,
		"null":             `null`,
		"an array":         `[]`,
		"no chain":         `{}`,
		"an unknown field": `{"chainId":1,"owner":"x"}`,
		"a short address":  `{"chainId":1,"hubAnchor":"0x00"}`,
		"a negative id":    `{"chainId":-1}`,
		"more after it":    `{"chainId":1}{}`,
		"too large":        `{"chainId":1,"replicas":[` + strings.Repeat(" ", 1<<17) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := evm.ParseDeployment([]byte(text))
			require.Error(t, err)
		})
	}
}

func FuzzParseDeployment(f *testing.F) {
	full, err := json.Marshal(evm.Deployment{
		ChainID: 1337, Replicas: []evm.Address{{1}}, Anchor: evm.Address{2}, Roots: evm.Address{3},
		Access: evm.Address{4}, KeyHash: evm.Hash{5}, QueryPosition: 2, Block: 9, Origin: "x", Registry: evm.Address{6}, Delay: 1,
	})
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte(`{"chainId":1}`))
	f.Add([]byte(`{"chainId":1,"replicas":null,"hubAnchor":"0x`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := evm.ParseDeployment(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(d)
		require.NoError(t, err)
		same, err := evm.ParseDeployment(again)
		require.NoError(t, err)
		require.Equal(t, d, same)
	})
}
