package omop

import "io/fs"

// sub returns the migrations with the dialects' folders at the top.
func sub() fs.FS {
	s, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return s
}
