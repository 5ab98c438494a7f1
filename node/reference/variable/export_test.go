package variable

// Rewrite parses a list, checks it and writes it.
func Rewrite(content []byte) ([]byte, error) {
	list, err := parse(content)
	if err == nil {
		err = check(list)
	}
	return write(variables(list)), err
}
