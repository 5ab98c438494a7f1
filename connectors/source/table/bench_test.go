package table

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkRead reads long tables of laboratory results, each row with a key of its own.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name string
		m    *Mapping
		row  func(i int) string
		head string
	}{
		{"long", mapping(b, "synthea/observations.yaml"), func(i int) string {
			at := time.UnixMilli(1_700_000_000_000 + int64(i)*60_000).UTC().Format(time.RFC3339)
			return fmt.Sprintf("%s,3edac2e3-d223-6fae-d515-%012d,0622440b-ab3a-87bf-b0d7-f8145ac11cc5,vital-signs,8302-2,Body Height,%d.9,cm,numeric\n", at, i%1000, 100+i%90)
		}, "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE\n"},
		{"wide", mapping(b, "pbc/pbc.yaml"), func(i int) string {
			return fmt.Sprintf("%d,400,2,1,58.7,f,1,1,1,1,14.5,261,2.6,156,1718,137.95,172,190,12.2,4\n", i)
		}, "id,time,status,trt,age,sex,ascites,hepato,spiders,edema,bili,chol,albumin,copper,alk.phos,ast,trig,platelet,protime,stage\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			const rows = 50_000
			var text bytes.Buffer
			text.WriteString(c.head)
			for i := range rows {
				text.WriteString(c.row(i))
			}
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			records := 0
			for b.Loop() {
				for _, err := range Read(b.Context(), bytes.NewReader(text.Bytes()), c.m, Options{}) {
					require.NoError(b, err)
					records++
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
