package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variable is the annotation of a flag with the environment variable that it defaults to.
const variable = "trialmesh_variable"

// fromEnvironment lets a flag default to the environment variable of its name, as TRIALMESH_HUB.
// It is for addresses and names of files only: other programs can read an environment.
func fromEnvironment(cmd *cobra.Command, flag string) {
	name := "TRIALMESH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if err := cmd.Flags().SetAnnotation(flag, variable, []string{name}); err != nil {
		panic(err) // the flag was defined before
	}
	cmd.Flags().Lookup(flag).Usage += "; or in " + name
}

// readEnvironment sets the flags that were not given and have a variable that is.
func readEnvironment(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names := f.Annotations[variable]
		if len(names) == 0 || f.Changed || err != nil {
			return
		}
		if value := os.Getenv(names[0]); value != "" {
			if err = cmd.Flags().Set(f.Name, value); err != nil {
				err = usageError{fmt.Errorf("%s: %w", names[0], err)}
			}
		}
	})
	return err
}
