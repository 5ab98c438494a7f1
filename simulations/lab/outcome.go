package main

// outcome is the last line of demo --json.
type outcome struct {
	OK           bool          `json:"ok"`
	Nodes        int           `json:"nodes"`
	Patients     int64         `json:"patients"`
	Observations int64         `json:"observations"` // FHIR Observation resources loaded
	Count        countOutcome  `json:"count"`
	Mean         meanOutcome   `json:"mean"`
	Proofs       proofOutcome  `json:"proofs"`
	Verify       verifyOutcome `json:"verify"`
	Tamper       tamperOutcome `json:"tamper"`
	Seconds      float64       `json:"seconds"`
}

// countOutcome compares the released count with the exact one over the same cells.
type countOutcome struct {
	Value         int64 `json:"value"`
	Pooled        int64 `json:"pooled"`
	WithheldCells int   `json:"withheldCells"`
}

// meanOutcome compares the released mean with that of the pooled raw data.
type meanOutcome struct {
	Value  float64 `json:"value"`
	Pooled float64 `json:"pooled"`
	SD     float64 `json:"sd"`
}

// proofOutcome is about the count's access proofs.
type proofOutcome struct {
	VerifiedOnChain int    `json:"verifiedOnChain"` // nodes
	Gas             uint64 `json:"gas"`             // for all of them
}

type verifyOutcome struct {
	Checks int `json:"checks"`
	Failed int `json:"failed"`
}

type tamperOutcome struct {
	Detected bool   `json:"detected"`
	Where    string `json:"where"`
}

// good reports whether everything that was to be shown was shown.
func (o outcome) good() bool {
	return o.Proofs.VerifiedOnChain == o.Nodes && o.Verify.Checks > 0 && o.Verify.Failed == 0 && o.Tamper.Detected
}
