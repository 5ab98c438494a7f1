package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/hub"
)

func newHubReplica() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replica",
		Short: "Make this machine ready to be one of a hub's replicas",
		Long: `Make the directory of a machine that will be one of three or more replicas of a hub, with keys
of its own that never leave it, and print its line for trialmesh hub init --replica. The line
is public: it has the names of the keys and where the machine is reached.`,
		Example: `  trialmesh hub replica --dir /var/lib/trialmesh/hub --host hub-2.heart.example > hub-2.json`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			hosts, _ := cmd.Flags().GetStringSlice("host")
			r, err := hub.InitReplica(dir, replicaAt(cmd, hosts[0]))
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		},
	}
	cmd.Flags().StringSlice("host", nil, "name or address at which this machine is reached (required)")
	if err := cmd.MarkFlagRequired("host"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return addDir(addPlaces(cmd), "new replica")
}

// addPlaces adds the flags of where a replica is reached, if not at the usual ports.
func addPlaces(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("url", "", "where this replica's API is reached (default https://HOST:7420)")
	cmd.Flags().StringSlice("node-address", nil, "multiaddress at which nodes reach it, may be repeated (default ports 7421 of TCP and QUIC)")
	cmd.Flags().String("replica-address", "", "multiaddress at which the other replicas reach it (default port 7423)")
	return cmd
}

// replicaAt returns where a replica is, by the flags of addPlaces.
func replicaAt(cmd *cobra.Command, host string) hub.Replica {
	at := "/dns/" + host
	name := host
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		at = "/ip4/" + host
	} else if err == nil {
		at, name = "/ip6/"+host, "["+host+"]"
	}
	var r hub.Replica
	if r.URL, _ = cmd.Flags().GetString("url"); r.URL == "" {
		r.URL = "https://" + name + ":7420"
	}
	if r.Nodes, _ = cmd.Flags().GetStringSlice("node-address"); len(r.Nodes) == 0 {
		r.Nodes = []string{at + "/tcp/7421", at + "/udp/7421/quic-v1"}
	}
	if r.Address, _ = cmd.Flags().GetString("replica-address"); r.Address == "" {
		r.Address = at + "/tcp/7423"
	}
	return r
}

// initGroup makes the first replica's directory and writes the kit for the others.
func initGroup(cmd *cobra.Command, dir, name, origin string, self hub.Replica, files []string) ([]hub.Replica, error) {
	out, _ := cmd.Flags().GetString("kit")
	if out == "" {
		return nil, usageError{errors.New("--kit: the file for what the other replicas need (a secret) is required with --replica")}
	}
	var others []hub.Replica
	for _, file := range files {
		raw, err := readInput(cmd, file)
		if err != nil {
			return nil, fmt.Errorf("--replica: %w", err)
		}
		var r hub.Replica
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, usageError{fmt.Errorf("--replica: %s: not what trialmesh hub replica printed", file)}
		}
		others = append(others, r)
	}
	kit, err := hub.InitGroup(dir, name, origin, self, others)
	if err != nil {
		return nil, err
	}
	return kit.Replicas, fillOutput(cmd, out, 0o600, func() ([]byte, error) { return json.Marshal(kit) })
}

func newHubJoin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join KIT",
		Short: "Make a prepared machine a replica of a hub",
		Long: `Make a directory that trialmesh hub replica prepared that of a replica of the hub whose trialmesh
hub init wrote KIT. The kit is a secret that lets its holder be the hub: bring it on a channel
you trust, and delete it when all replicas have joined.`,
		Example: `  trialmesh hub join heart.kit --dir /var/lib/trialmesh/hub`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			if err := made("replica", dir, "replica.key"); err != nil {
				return err
			}
			raw, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			kit, err := hub.ParseKit(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			self, err := hub.Join(dir, kit)
			if err != nil {
				return err
			}
			chain, _ := cmd.Flags().GetString("chain")
			if err := writeSettings(dir, kit.Origin, nil, chain, self, kit.Replicas); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"dir": dir, "replica": self.DID, "chainAccount": self.Account})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s replica %s of %d\nchain account %s: fund it before the hub anchors anything\n", dir, self.DID, len(kit.Replicas), self.Account)
			return nil
		},
	}
	cmd.Flags().String("chain", "", "http(s) URL of an EVM chain's JSON-RPC endpoint")
	return addDir(cmd, "replica")
}

// writeSettings writes a hub's settings file. self is this machine's place among the replicas.
func writeSettings(dir, origin string, hosts []string, chain string, self hub.Replica, replicas []hub.Replica) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of this hub; see trialmesh hub run --help.\norigin: %q\n", origin)
	list := func(indent, name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "%s%s:\n", indent, name)
		}
		for _, value := range values {
			fmt.Fprintf(&b, "%s  - %q\n", indent, value)
		}
	}
	list("", "host", hosts)
	port := "7420"
	if u, err := url.Parse(self.URL); err == nil && u.Port() != "" {
		port = u.Port()
	}
	fmt.Fprintf(&b, "listen: \"0.0.0.0:%s\"\n", port)
	var peers []string
	for _, address := range self.Nodes {
		peers = append(peers, everywhere(address))
	}
	list("", "peer", peers)
	if chain != "" {
		fmt.Fprintf(&b, "chain: %q\n", chain)
	}
	if len(replicas) > 0 {
		fmt.Fprintf(&b, "between: %q\n# The same list on every replica; replica.key says which of them this machine is.\nreplicas:\n", everywhere(self.Address))
	}
	for _, r := range replicas {
		fmt.Fprintf(&b, "  - did: %q\n    url: %q\n", r.DID, r.URL)
		list("    ", "nodes", r.Nodes)
		fmt.Fprintf(&b, "    address: %q\n    account: %q\n", r.Address, r.Account)
	}
	path := filepath.Join(dir, hubConfigFile)
	if there, err := os.ReadFile(path); err == nil && string(there) != b.String() {
		return fmt.Errorf("%s is there with other settings: they are left as they are", path)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// everywhere is a multiaddress with all of this machine's addresses for its own.
func everywhere(address string) string {
	parts := strings.SplitN(address, "/", 4) // "", protocol, host, port and the rest
	if len(parts) < 4 {
		return address
	}
	return "/ip4/0.0.0.0/" + parts[3]
}
