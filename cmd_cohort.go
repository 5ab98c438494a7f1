package main

import "github.com/spf13/cobra"

func newCohortCommand() *cobra.Command {
	return group("cohort", "Read and check OHDSI cohort definitions", newCohortRun())
}
