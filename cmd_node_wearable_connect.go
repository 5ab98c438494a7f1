package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/client"
)

func newNodeWearable() *cobra.Command {
	return group("wearable", "Pull from accounts that patients have at makers of wearables",
		newNodeWearableConnect(), newNodeWearableList(), newNodeWearablePull(), newNodeWearableDisconnect())
}

func newNodeWearableConnect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connect MAKER",
		Short: "Connect the account of a patient",
		Long: `Print a URL of the maker, which the patient opens and there allows the site to read
their data, take the redirect that follows, and connect the account to the patient.
The running node keeps the tokens, sealed with its key, and begins the first pull.

MAKER is fitbit, garmin, google, google-fit, oura or withings. The site sets a maker
up once, with wearables/MAKER.yaml and wearables/MAKER.secret in the node's
directory: see the operator's manual.

Where the redirect is a URL of this machine (http://127.0.0.1:PORT/...), the command
listens there, so the browser has to be on this machine. Elsewhere, and with another
redirect, --paste reads the URL at which the browser ends up. It is good for some
minutes and once; at Withings for 30 seconds.`,
		Example: `  trialmesh node wearable connect oura --patient p-17 --dir node
  trialmesh node wearable connect fitbit --patient p-17 --timezone Europe/Berlin --paste --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			patient, _ := cmd.Flags().GetString("patient")
			timezone, _ := cmd.Flags().GetString("timezone")
			paste, _ := cmd.Flags().GetBool("paste")
			if patient == "" {
				return usageError{errors.New("--patient: whose account it is, is required")}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			a, err := c.AuthorizeWearable(cmd.Context(), args[0], patient, timezone)
			if err != nil {
				return err
			}
			receive, settle := pasted, func(context.Context, bool) {}
			if !paste {
				back, err := listenRedirect(cmd.Context(), a)
				if err != nil {
					return err
				}
				defer back.close()
				receive, settle = back.receive, back.settle
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Have the patient open this, until %s:\n\n%s\n\n", when(a.Expires, "-"), printable(a.URL))
			redirected, err := receive(cmd)
			if err != nil {
				return err
			}
			w, err := c.ConnectWearable(cmd.Context(), redirected)
			settle(cmd.Context(), err == nil)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, w)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "connection %s: %s of patient %s is connected, and the first pull has begun\n", w.ID, w.Maker, printable(w.Patient))
			return err
		},
	}
	cmd.Flags().String("patient", "", "id of the FHIR Patient whose account it is")
	cmd.Flags().String("timezone", "", "time zone of the account, for example Europe/Berlin; fitbit and google need it")
	cmd.Flags().Bool("paste", false, "read the redirected URL instead of listening for it")
	return addDir(cmd, "node")
}

// maxRedirected is the size of a pasted URL in bytes.
const maxRedirected = 8 << 10

// pasted reads the URL that somebody pastes.
func pasted(cmd *cobra.Command) (string, error) {
	fmt.Fprint(cmd.ErrOrStderr(), "Paste the URL at which the browser ended up: ")
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), maxRedirected+1)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" || len(line) > maxRedirected {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("no URL was pasted")
		}
		return "", err
	}
	return line, nil
}

func newNodeWearableList() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "list",
		Short: "List the connections of the running node",
		Long: `List the connected accounts with when they were last asked for everything, when they
fall due, and what went wrong at the last attempt. One that needs connecting again
is not asked for until the patient does: with node wearable connect.`,
		Example: `  trialmesh node wearable list --dir node
  trialmesh node wearable list --dir node --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Wearables(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"connections": list})
			}
			return printWearables(cmd, list)
		},
	}, "node")
}

func printWearables(cmd *cobra.Command, list []client.Wearable) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	var wrong remarks
	fmt.Fprintln(w, "connection\tmaker\tpatient\tlast success\tnext\tstate")
	for _, c := range list {
		next, state := when(c.Next, "on request"), c.State
		if c.Pulling {
			state = "pulling"
		}
		if c.State != "connected" {
			next = "never"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Maker, printable(c.Patient), when(c.Success, "never"), next, state)
		wrong.add("connection "+c.ID, c.Error)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return wrong.print(cmd.OutOrStdout())
}

func newNodeWearablePull() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull ID",
		Short: "Pull a connection now and wait until that is over",
		Long: `Have the running node ask the maker for what is new in an account, and for the week
before again, since watches send late. With --since, what was from that day on is
asked for again. The command waits until the attempt is over, and ends with status 1 if
that failed or has to go on later; the node does that by itself. What came is loaded
by jobs: see node jobs.`,
		Example: `  trialmesh node wearable pull 3 --dir node
  trialmesh node wearable pull 3 --since 2026-01-01 --detach --dir node`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, _ := cmd.Flags().GetString("since")
			since, err := time.Parse(time.DateOnly, cmp.Or(text, "0001-01-01"))
			if err != nil {
				return usageError{errors.New("--since: want a day such as 2026-01-01")}
			}
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			w, err := c.PullWearable(cmd.Context(), args[0], since)
			if err != nil {
				return err
			}
			detach, _ := cmd.Flags().GetBool("detach")
			if !detach {
				if w, err = c.WatchWearable(cmd.Context(), args[0]); err != nil {
					return err
				}
			}
			if wantsJSON(cmd) {
				err = printJSON(cmd, w)
			} else {
				err = printWearables(cmd, []client.Wearable{w})
			}
			if err == nil && !detach && w.Success.Before(w.Began) {
				err = errors.New("the pull is not complete")
			}
			return err
		},
	}
	cmd.Flags().String("since", "", "ask again for what was from this day on, for example 2026-01-01")
	cmd.Flags().Bool("detach", false, "do not wait")
	return addDir(cmd, "node")
}

func newNodeWearableDisconnect() *cobra.Command {
	return addDir(&cobra.Command{
		Use:   "disconnect ID",
		Short: "End a connection and tell the maker",
		Long: `Delete a connection with its tokens and tell the maker that the authorization is over.
What was fetched stays. If the maker cannot be told, the command says so: then the
patient has to take the access away in the account's settings.`,
		Example: `  trialmesh node wearable disconnect 3 --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			told, err := c.DisconnectWearable(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]bool{"told": told})
			}
			text := "disconnected, and the maker was told"
			if !told {
				text = "disconnected. The maker could not be told: have the patient take the access away in the settings of the account"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}, "node")
}
