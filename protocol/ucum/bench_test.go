package ucum_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

func BenchmarkParse(b *testing.B) {
	for _, code := range []string{"mg", "mg/dL", "10*9/L", "mmol/(8.h.kg)", "mm[Hg]", "Cel", "kat{x}/g{tot_prot}"} {
		b.Run(code, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ucum.Parse(code); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	for name, units := range map[string][2]string{"factor": {"mg/dL", "g/L"}, "offset": {"[degF]", "Cel"}, "curve": {"[pH]", "nmol/L"}} {
		b.Run(name, func(b *testing.B) {
			c, err := ucum.NewConversion(unit(b, units[0]), unit(b, units[1]))
			require.NoError(b, err)
			b.ReportAllocs()
			x := 7.4
			for b.Loop() {
				x = min(max(c.Apply(x), 1), 14)
			}
		})
	}
}

func BenchmarkDecimal(b *testing.B) {
	for name, units := range map[string][2]string{"factor": {"mg/dL", "g/L"}, "offset": {"[degF]", "Cel"}, "curve": {"[pH]", "nmol/L"}} {
		b.Run(name, func(b *testing.B) {
			c, err := ucum.NewConversion(unit(b, units[0]), unit(b, units[1]))
			require.NoError(b, err)
			x := decimal(b, "7.40")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Decimal(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewConversion(b *testing.B) {
	from, to := unit(b, "mg/dL"), unit(b, "g/L")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ucum.NewConversion(from, to); err != nil {
			b.Fatal(err)
		}
	}
}
