package ucum

import (
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConverterRemembers(t *testing.T) {
	t.Parallel()
	var c Converter
	for range 3 {
		conversion, err := c.Conversion("mg/dL", "g/L")
		require.NoError(t, err)
		require.Equal(t, 0.5, conversion.Apply(50))
		_, err = c.Conversion("mg/dL", "mmol/L")
		require.ErrorIs(t, err, ErrIncommensurable)
		var syntax *SyntaxError
		_, err = c.Conversion("mg/dL", "mmHg")
		require.ErrorAs(t, err, &syntax)
		_, err = c.Conversion("mmHg", "mg/dL")
		require.ErrorAs(t, err, &syntax)
	}
	require.Len(t, c.known, 4)
}

func TestConverterIsBounded(t *testing.T) {
	t.Parallel()
	var c Converter
	long := string(make([]byte, MaxLength+1))
	_, err := c.Conversion(long, "m")
	require.Error(t, err)
	require.Empty(t, c.known)
	for i := range 2*maxKnown + 10 {
		_, err := c.Conversion(strconv.Itoa(i+1), "%")
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.known), maxKnown)
	}
	require.Len(t, c.known, 10)
}

func TestConverterIsForManyGoroutines(t *testing.T) {
	t.Parallel()
	var c Converter
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 1000 {
				conversion, err := c.Conversion(strconv.Itoa(i%7+1), "1")
				if err != nil || conversion.Apply(1) != float64(i%7+1) {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkConverter(b *testing.B) {
	var c Converter
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Conversion("mg/dL", "g/L"); err != nil {
			b.Fatal(err)
		}
	}
}
