// Command trialmesh-lab holds what an installation never needs: the
// demonstration of a whole network on one machine, a chain in this process, and
// participants who sign.
//
// It starts hub and nodes through the same hub.Open and node.Open that
// operators use, and talks to them through their public APIs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use: "trialmesh-lab", Short: "Demonstrations and simulations of a Trialmesh network",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newDemoCommand(), newChainCommand(), newDataCommand(), newConsentsCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "trialmesh-lab:", err)
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

// usageError is a call that cannot be right.
type usageError struct{ error }
