package cdshooks_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzBodies sends bodies to each address, signed: whatever they are, they are answered or
// refused, and nothing is our fault.
func FuzzBodies(f *testing.F) {
	for _, folder := range []string{"requests", "feedback"} {
		names, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
		require.NoError(f, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(uint8(len(text)), string(text))
		}
	}
	f.Add(uint8(0), view(nil, object{"prefetch": object{"patient": object{"resourceType": "Patient", "id": patient, "birthDate": "1925-12"}}}))
	f.Add(uint8(1), `{"hook":"order-select","hookInstance":"d1577c69-dfbe-44ad-ba6d-3e05e953b2ea","context":{"userId":"Practitioner/1","patientId":"1288992",`+
		`"selections":["ServiceRequest/1"],"draftOrders":{"resourceType":"Bundle","entry":[{"resource":{"code":{"concept":{"coding":[{"system":"a","code":"b"}]}}}}]}}}`)
	s := newClinic(f)
	paths := []string{viewPath, selectPath, viewPath + "/feedback"}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		if body == "" {
			body = " "
		}
		one := *s
		one.t = t
		a := one.do("POST", paths[int(which)%len(paths)], body)
		require.Contains(t, []int{200, 400, 412, 413}, a.status, a.body)
		if a.status == 200 && slices.Contains(paths[:2], paths[int(which)%len(paths)]) {
			require.NoError(t, checkAnswer([]byte(a.body)))
		}
	})
}
