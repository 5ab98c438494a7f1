package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

func newNodeWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch FOLDER",
		Short: "Load the files that are dropped into a folder",
		Long: `Load every file that comes into FOLDER, of any kind that trialmesh node ingest takes,
until it is interrupted. A file is complete when its size and time have not changed for
the time --settle; names that begin with a dot or end in .part or .tmp are passed over,
as are folders and links. Better still, write under such a name and rename.

When a file's load is over it is moved to FOLDER/loaded or, if it could not be loaded
or nothing of it could, to FOLDER/failed, with NAME.json beside it that says why and
where, never with a value. A name that is taken there gets a number. With --keep files
stay where they are, and what was loaded is remembered by its content.

Of files that are complete at once those of patients are loaded first, then visits,
then events, each in the order of their times. While the node is out of reach, has no
room or starts anew, the command waits. It may be killed at any time: a file is
moved only when the node has loaded it, and loading it again changes nothing.

With --once it loads what is complete and ends, for cron: with status 1 if a file
failed or the node is out of reach for two minutes.`,
		Example: `  trialmesh node watch /srv/drop --dir node
  trialmesh node watch /srv/drop --dir node --settle 1m --json
  trialmesh node watch /srv/export --dir node --keep --once`,
		Args: args(cobra.ExactArgs(1)),
		RunE: watch,
	}
	cmd.Flags().Duration("interval", 2*time.Second, "how often to look")
	cmd.Flags().Duration("settle", 5*time.Second, "how long a file has to be unchanged")
	cmd.Flags().Bool("keep", false, "leave the files where they are")
	cmd.Flags().Bool("once", false, "load what is complete, and end")
	return addDir(cmd, "node")
}

// watcher loads what comes into a folder.
type watcher struct {
	cmd      *cobra.Command
	link     *link
	drop     *dropFolder
	mappings *table.Set

	loaded, failed int
}

func watch(cmd *cobra.Command, args []string) error {
	interval, _ := cmd.Flags().GetDuration("interval")
	settle, _ := cmd.Flags().GetDuration("settle")
	keep, _ := cmd.Flags().GetBool("keep")
	once, _ := cmd.Flags().GetBool("once")
	if interval <= 0 || settle < 0 {
		return usageError{errors.New("--interval and --settle: a duration above 0, and of 0 or more")}
	}
	ctx := cmd.Context()
	dir, _ := cmd.Flags().GetString("dir")
	if err := made("node", dir, nodeConfigFile); err != nil {
		return err
	}
	mappings, err := node.Mappings(dir)
	if err != nil {
		return err
	}
	drop, err := openDrop(dir, args[0], keep, settle)
	if err != nil {
		return err
	}
	defer drop.close()
	lock, err := dirlock.Acquire(ctx, drop.own)
	if err != nil {
		return fmt.Errorf("another process watches %s for this node", args[0])
	}
	defer func() { _ = lock.Release() }() // the kernel does it otherwise
	w := &watcher{cmd: cmd, drop: drop, mappings: mappings, link: &link{
		cmd: cmd, eager: true, passes: func(err error) bool { return client.Passing(err) || errors.Is(err, errNoNode) },
		waits: func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "waiting for the node:", err) },
	}}
	defer w.link.close()
	if once {
		w.link.patience, interval = returnTime, settle
	}
	for round := 1; ; round++ {
		if err := w.round(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // what is under way is found again
			}
			return err
		}
		if once && round == 2 { // in the first nothing could be seen to be unchanged
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
	}
	if w.failed > 0 {
		return fmt.Errorf("%d of %d files were not loaded", w.failed, w.failed+w.loaded)
	}
	return nil
}

// atOnce is how many files are on their way together.
const atOnce = 100

// round loads the files that are complete now.
func (w *watcher) round(ctx context.Context) error {
	ready, err := w.drop.ready(time.Now())
	if err != nil {
		return err
	}
	stage := make(map[string]int, len(ready))
	for _, f := range ready {
		stage[f.name], _ = stageOf(ctx, w.drop.path(f.name), w.mappings)
	}
	slices.SortFunc(ready, func(a, b dropped) int {
		return cmp.Or(cmp.Compare(stage[a.name], stage[b.name]), a.modified.Compare(b.modified), cmp.Compare(a.name, b.name))
	})
	for len(ready) > 0 {
		n := 1
		for n < len(ready) && n < atOnce && stage[ready[n].name] == stage[ready[0].name] {
			n++
		}
		if err := w.load(ctx, ready[:n]); err != nil {
			return err
		}
		ready = ready[n:]
	}
	return nil
}

// load brings files to the node, waits for their loads and puts them away.
func (w *watcher) load(ctx context.Context, files []dropped) error {
	ends := make([]ending, len(files))
	for i, f := range files {
		u, err := w.link.send(ctx, w.drop.path(f.name), func(int64) {})
		var refused *problem.Error
		switch {
		case err == nil:
			ends[i] = ending{File: f.name, Job: u.Job, digest: u.File}
		case errors.As(err, &refused) && (refused.Kind == problem.Invalid || refused.Kind == problem.TooLarge):
			ends[i] = ending{File: f.name, State: "refused", Error: refused.Error()}
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, client.ErrChanged) ||
			refused != nil && refused.Kind == problem.Internal: // of one file, which must not keep the others out
			w.drop.later(f)
			w.failed++
			fmt.Fprintf(w.cmd.ErrOrStderr(), "%s stays: %v\n", f.name, err)
		default:
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for i, f := range files {
		if ends[i].File == "" {
			continue
		}
		if err := w.end(ctx, f, ends[i]); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// end waits for the load of a file and puts the file away.
func (w *watcher) end(ctx context.Context, f dropped, e ending) error {
	if e.Job != "" {
		var held string
		job, err := w.link.watch(ctx, e.Job, func(j client.Job) {
			if j.Held != held {
				fmt.Fprintln(w.cmd.ErrOrStderr(), cmp.Or(j.Held, "the node goes on"))
				held = j.Held
			}
		})
		if err != nil {
			return err
		}
		e.of(job)
	}
	switch changed, err := w.drop.changed(f); {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(w.cmd.ErrOrStderr(), "%s stays: %v\n", f.name, client.ErrChanged)
		return nil
	}
	if err := w.drop.putAway(f, &e); err != nil {
		return err
	}
	if e.Outcome == outcomeLoaded {
		w.loaded++
	} else {
		w.failed++
	}
	return e.print(w.cmd)
}
