package codemap

// Rewrite parses a file and writes it.
func Rewrite(content []byte) ([]byte, error) {
	list, err := parse(content)
	return write(list), err
}
