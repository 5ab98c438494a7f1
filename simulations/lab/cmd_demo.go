package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/zk/prover"
)

func newDemoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole network: three hospitals, one question, one verified answer",
		Long: `Start a hub, three hospital nodes and a chain on this machine, load real synthetic
patients, collect consents, ask two questions, prove and verify the answers, and
show that a flipped bit is found. Then everything keeps running until Ctrl-C.`,
		Example: `  trialmesh-lab demo
  trialmesh-lab demo --once --json | tail -1
  trialmesh-lab demo --dir ~/trialmesh-demo     # keep the state; run it again to resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir, _ := cmd.Flags().GetString("dir")
			if dir == "" {
				if dir, err = os.MkdirTemp("", "trialmesh-demo-"); err != nil {
					return err
				}
				defer func() { // a log is of use after a failure
					if err == nil || errors.Is(err, errStopped) {
						_ = os.RemoveAll(dir)
					}
				}()
			} else if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			circuits, _ := cmd.Flags().GetString("circuits")
			if circuits == "" {
				if circuits, err = prover.CacheDir(); err != nil {
					return fmt.Errorf("%w; give --circuits", err)
				}
			}
			asJSON, _ := cmd.Flags().GetBool("json")
			once, _ := cmd.Flags().GetBool("once")
			screen := cmd.OutOrStdout()
			if asJSON {
				screen = cmd.ErrOrStderr()
			}
			log, done, err := demoLog(filepath.Join(dir, "demo.log"))
			if err != nil {
				return err
			}
			defer done()
			return demonstrate(cmd, newWorld(cmd.Context(), dir, circuits, log), screen, asJSON, once)
		},
	}
	cmd.Flags().Bool("once", false, "exit after the demonstration instead of running on")
	cmd.Flags().Bool("json", false, "print the outcome as one JSON object, the last line of standard output")
	cmd.Flags().String("dir", "", "folder that keeps the state (default a temporary one)")
	cmd.Flags().String("circuits", "", "folder where proving keys are cached (default in the user's cache)")
	return cmd
}

// demoLog writes the parts' log into a file, out of the story's way.
func demoLog(path string) (*slog.Logger, func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(f, nil)), func() { _ = f.Close() }, nil
}

// errStopped reports a demonstration that was interrupted.
var errStopped = errors.New("stopped")

// demonstrate tells the story, prints the outcome and keeps the world running.
func demonstrate(cmd *cobra.Command, w *world, screen io.Writer, asJSON, once bool) (err error) {
	defer func() {
		if closed := w.close(); !errors.Is(err, errStopped) { // then it may be half open
			err = errors.Join(err, closed)
		}
	}()
	d := newDemo(w, screen)
	told := d.tell()
	switch {
	case told != nil && cmd.Context().Err() != nil: // everything else follows from it
		told = errStopped
		if cmd.Flags().Changed("dir") {
			told = fmt.Errorf("%w; run again with the same --dir to resume", errStopped)
		}
	case told != nil:
		d.say("")
		d.say("The demonstration ended early: %v", told)
		d.say("What every part did is in %s.", filepath.Join(w.dir, "demo.log"))
	}
	if asJSON {
		d.outcome.OK = told == nil && d.outcome.good()
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(d.outcome); err != nil {
			return err
		}
	}
	if told != nil || once {
		return told
	}
	if err := w.equipResearcher(); err != nil {
		return err
	}
	d.say("")
	d.say("Everything keeps running:")
	d.say("  hub     %s", w.hub.URL())
	for _, s := range w.sites {
		d.say("  %-7s %s", s.hospital.Name, s.node.URL())
	}
	d.say("What the researcher needs to ask, a key, a token and the hub's root certificate, is in %s.", w.peopleDir())
	d.say("Press Ctrl-C to stop.")
	<-w.ctx.Done()
	return nil
}
