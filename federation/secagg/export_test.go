package secagg

// SignedForTest gives tests what a dishonest member would sign.
func SignedForTest(a Advertisement) []byte { return a.signed() }
