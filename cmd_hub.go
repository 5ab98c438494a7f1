package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// What hub commands keep beside the hub's own files.
const (
	hubConfigFile = "hub.yaml"
	rootFile      = "root.pem"
	operatorFile  = "operator.token"
)

// hubSettings are the settings of hub.yaml, TRIALMESH_HUB_… and the flags.
type hubSettings struct {
	Origin       string        `koanf:"origin"`
	Hosts        []string      `koanf:"host"`
	Listen       string        `koanf:"listen"`
	Peers        []string      `koanf:"peer"`
	Chain        string        `koanf:"chain"`
	ChainCheck   string        `koanf:"chain-check"`
	ChainSigner  string        `koanf:"chain-signer"`
	ChainAccount string        `koanf:"chain-account"`
	Redeploy     bool          `koanf:"redeploy"`
	AnchorEvery  time.Duration `koanf:"anchor-every"`
	Circuits     string        `koanf:"circuits"`
	Ceremony     string        `koanf:"ceremony"`
	Production   bool          `koanf:"production"`
	Shape        shape         `koanf:"circuits-shape"`
	Results      bool          `koanf:"results"`
	Announce     []string      `koanf:"announce"`
	Disclosure   limits        `koanf:"disclosure"`
	Queue        queueSettings `koanf:"queue"`
	Cosigners    string        `koanf:"cosigners"`
	Replicas     []hub.Replica `koanf:"replicas"`
	Between      string        `koanf:"between"`
}

// queueSettings bound the questions that wait and run; 0 is the default.
type queueSettings struct {
	Running     int `koanf:"running"`
	RunningEach int `koanf:"running-each"`
	Open        int `koanf:"open"`
	OpenEach    int `koanf:"open-each"`
}

func newHubCommand() *cobra.Command {
	return group("hub", "Run a hub: the registry, the public ledger, the dispatch of questions",
		newHubInit(), newHubReplica(), newHubJoin(), newHubRun(), newHubInvite(), newHubToken(), newHubRevoke(), newHubTrust(), newHubPolicy())
}

func addDir(cmd *cobra.Command, what string) *cobra.Command {
	cmd.Flags().String("dir", "", "directory of the "+what+" (required)")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return cmd
}

// made returns an error that names init if a directory of a hub or a node is not
// there or does not hold the file.
func made(what, dir, file string) error {
	_, err := os.Stat(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "replica.key")); err == nil {
			return fmt.Errorf("%s was made by hub replica and has not joined: hub join KIT --dir %s", dir, dir)
		}
		return fmt.Errorf("no %s in %s: %s init makes one", what, dir, what)
	}
	return err
}

func newHubInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a hub's directory: keys, certificate authority, settings",
		Long: `Make the directory of a new hub with its keys, its certificate authority, the
operator's token and the settings file hub.yaml. Secrets are files of mode 0600.

A hub of three replicas goes on when any one is lost. Run trialmesh hub replica on the other machines
first, give what it prints to --replica here, and bring the kit to them for trialmesh hub join.`,
		Example: `  trialmesh hub init --dir /var/lib/trialmesh/hub --name "Nordic Heart" --origin heart.example/log --host hub.heart.example
  trialmesh hub init --dir hub --name Test --origin test.local/log --host 127.0.0.1 --chain http://127.0.0.1:8545
  trialmesh hub init --dir hub --origin heart.example/log --host hub-1.heart.example --replica hub-2.json --replica hub-3.json --kit heart.kit`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			name, _ := cmd.Flags().GetString("name")
			origin, _ := cmd.Flags().GetString("origin")
			hosts, _ := cmd.Flags().GetStringSlice("host")
			chain, _ := cmd.Flags().GetString("chain")
			if err := hub.CheckOrigin(origin); err != nil {
				return usageError{fmt.Errorf("--origin: %w", err)}
			}
			files, _ := cmd.Flags().GetStringSlice("replica")
			self := replicaAt(cmd, hosts[0])
			var replicas []hub.Replica
			var err error
			if len(files) == 0 {
				err = hub.Init(dir, name)
			} else {
				replicas, err = initGroup(cmd, dir, name, origin, self, files)
			}
			if err != nil {
				return err
			}
			if err := writeSettings(dir, origin, hosts, chain, self, replicas); err != nil {
				return err
			}
			account, err := hub.ChainAccount(dir)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"dir": dir, "chainAccount": account})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s\nchain account %s: fund it before the hub anchors anything\n", dir, account)
			return nil
		},
	}
	cmd.Flags().String("name", "Trialmesh", "name of the network, for its certificates")
	cmd.Flags().String("origin", "trialmesh.local/log", "name of the ledger; it never changes")
	cmd.Flags().StringSlice("host", []string{"127.0.0.1"}, "name or address at which the hub is reached, may be repeated")
	cmd.Flags().String("chain", "", "http(s) URL of an EVM chain's JSON-RPC endpoint")
	cmd.Flags().StringSlice("replica", nil, "file with what trialmesh hub replica printed on another machine, once for each")
	cmd.Flags().String("kit", "", "file for what the other replicas need to join, a secret")
	return addDir(addPlaces(cmd), "new hub")
}

func newHubRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the hub until it is interrupted",
		Long: `Run the hub. Settings come from hub.yaml in the directory, then from the
environment (TRIALMESH_HUB_LISTEN and so on), then from flags.`,
		Example: `  trialmesh hub run --dir /var/lib/trialmesh/hub
  trialmesh hub run --dir hub --listen 127.0.0.1:0 --chain http://127.0.0.1:8545`,
		Args: args(cobra.NoArgs),
		RunE: runHub,
	}
	cmd.Flags().String("listen", "", "where the HTTPS API listens, host:port")
	cmd.Flags().StringSlice("peer", nil, "multiaddress on which nodes connect, may be repeated")
	cmd.Flags().String("between", "", "multiaddress on which the other replicas connect")
	cmd.Flags().StringSlice("announce", nil, "multiaddress at which nodes reach the hub, if not as it listens; may be repeated")
	cmd.Flags().String("chain", "", "http(s) URL of an EVM chain's JSON-RPC endpoint")
	cmd.Flags().String("chain-check", "", "URL of a second endpoint: what the chain holds counts if both say it")
	cmd.Flags().String("chain-signer", "", "socket or URL of a remote signer (Clef, Web3Signer) that has the account's key")
	cmd.Flags().String("chain-account", "", "account that the remote signer signs for (default that of the directory's chain.key)")
	cmd.Flags().Bool("redeploy", false, "deploy contracts again if a development chain lost them")
	cmd.Flags().Duration("anchor-every", 0, "how often checkpoints are anchored at most (default 10m)")
	cmd.Flags().String("circuits", "", "folder where development keys are cached (default in the user's cache)")
	cmd.Flags().String("ceremony", "", "folder of a finished ceremony: its keys are used, and what its parties signed goes on the ledger")
	cmd.Flags().Bool("results", false, "have circuits for proofs of figures too, which questions ask for with proof: result")
	cmd.Flags().Bool("production", false, "refuse proving keys that one machine made: see trialmesh ceremony --help")
	cmd.Flags().String("cosigners", "", "C2SP tlog-policy file: checkpoints are published with its quorum (default the hub's own key)")
	return addDir(cmd, "hub")
}

// readPolicy reads a tlog-policy file, none if there is no path.
func readPolicy(path string) (cosign.Policy, error) {
	if path == "" {
		return cosign.Policy{}, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return cosign.Policy{}, err
	}
	policy, err := cosign.ParsePolicy(raw)
	if err != nil {
		return policy, fmt.Errorf("%s: %w", path, err)
	}
	return policy, nil
}

func runHub(cmd *cobra.Command, _ []string) error {
	dir, _ := cmd.Flags().GetString("dir")
	log, err := newLogger(cmd)
	if err != nil {
		return err
	}
	if err := made("hub", dir, hubConfigFile); err != nil {
		return err
	}
	var s hubSettings
	if err := loadConfig(cmd, filepath.Join(dir, hubConfigFile), "TRIALMESH_HUB_", &s); err != nil {
		return err
	}
	if s.Circuits == "" {
		if s.Circuits, err = prover.CacheDir(); err != nil {
			return fmt.Errorf("%w; set circuits", err)
		}
	}
	policy, err := s.Disclosure.policy()
	if err != nil {
		return err
	}
	cosigners, err := readPolicy(s.Cosigners)
	if err != nil {
		return err
	}
	h, err := hub.Open(cmd.Context(), hub.Config{
		Dir: dir, Origin: s.Origin, Hosts: s.Hosts, Listen: s.Listen, Peers: s.Peers, Circuits: s.Circuits, Shape: s.Shape.Shape,
		Cosigners: cosigners, Ceremony: s.Ceremony, Production: s.Production, Results: s.Results,
		Chain: s.Chain, ChainCheck: s.ChainCheck, ChainSigner: s.ChainSigner, ChainAccount: s.ChainAccount, Redeploy: s.Redeploy, AnchorEvery: s.AnchorEvery, Announce: s.Announce, Replicas: s.Replicas, Between: s.Between, Policy: policy, Queue: hub.Queue(s.Queue), Logger: log,
	})
	if err != nil {
		return err
	}
	root, fingerprint := h.RootPEM()
	if err := os.WriteFile(filepath.Join(dir, rootFile), root, 0o644); err != nil { //nolint:gosec // a public certificate
		return errors.Join(err, h.Close())
	}
	remove, err := writePlace(dir, h.URL())
	if err != nil {
		return errors.Join(err, h.Close())
	}
	defer remove()
	log.InfoContext(cmd.Context(), "hub runs", "url", h.URL(), "root", fingerprint.String())
	return h.Run(cmd.Context())
}

// localHub returns a client of the hub whose directory is on this machine,
// with the operator's token.
func localHub(cmd *cobra.Command) (*client.Client, error) {
	dir, _ := cmd.Flags().GetString("dir")
	if err := made("hub", dir, hubConfigFile); err != nil {
		return nil, err
	}
	p, err := readPlace(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(filepath.Join(dir, rootFile))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, operatorFile))
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: p.URL, Root: root, Token: strings.TrimSpace(string(token))})
}

func newHubInvite() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invite NAME",
		Short: "Make a one-time invitation for a node",
		Long: `Make an invitation by which one node can join, once, under NAME (like a host
name). The hub must be running. The invitation is a secret: it goes to standard
output or into a file of mode 0600, to be handed over on a channel you trust. With
--json and --out the secret is in the file alone.`,
		Example: `  trialmesh hub invite north --dir hub --organization "North Hospital" --out north.invitation`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			organization, _ := cmd.Flags().GetString("organization")
			if organization == "" {
				organization = args[0]
			}
			ttl, _ := cmd.Flags().GetDuration("ttl")
			return handOut(cmd, func() (string, map[string]any, error) {
				i, err := c.Invite(cmd.Context(), args[0], organization, ttl)
				return i.Invitation, map[string]any{"name": args[0], "invitation": i.Invitation, "expires": i.Expires}, err
			}, "invitation")
		},
	}
	cmd.Flags().String("organization", "", "organization that runs the node (default NAME)")
	addLife(cmd, "ttl", 24*time.Hour, "how long the invitation holds, up to 720h, 30 days")
	cmd.Flags().String("out", "-", "file for the invitation, - for standard output")
	return addDir(cmd, "hub")
}

// handOut writes a secret that the hub makes to --out. With --json it prints
// what is known about it: the secret too, under its name, if --out is standard
// output.
func handOut(cmd *cobra.Command, issue func() (secret string, about map[string]any, err error), name string) error {
	out, _ := cmd.Flags().GetString("out")
	var about map[string]any
	fill := func() ([]byte, error) {
		secret, known, err := issue()
		about = known
		return []byte(secret + "\n"), err
	}
	if !wantsJSON(cmd) {
		return fillOutput(cmd, out, 0o600, fill)
	}
	if out == "-" {
		if _, err := fill(); err != nil {
			return err
		}
		return printJSON(cmd, about)
	}
	if err := fillOutput(cmd, out, 0o600, fill); err != nil {
		return err
	}
	delete(about, name)
	about["out"] = out
	return printJSON(cmd, about)
}

func newHubRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "revoke DID",
		Short:   "Bar a node for good",
		Example: `  trialmesh hub revoke did:key:z6Mk… --dir hub --reason "key lost"`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := identity.ParseDID(args[0])
			if err != nil {
				return usageError{err}
			}
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			reason, _ := cmd.Flags().GetString("reason")
			return c.RevokeNode(cmd.Context(), node, reason)
		},
	}
	cmd.Flags().String("reason", "", "why, for the public ledger (required)")
	if err := cmd.MarkFlagRequired("reason"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return addDir(cmd, "hub")
}

func newHubTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Print the trust document by which others verify this network",
		Long: `Print the document with the keys of hub and ledger and the addresses of the
contracts. Whoever verifies answers has to get it on another way than the
answers themselves, for example from the trial's protocol.`,
		Example: `  trialmesh hub trust --dir hub > trust.json`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			trust, err := c.Trust(cmd.Context())
			if err != nil {
				return err
			}
			return printJSON(cmd, trust)
		},
	}
	return addDir(cmd, "hub")
}

// cosigningReplicas returns who countersigns for the hub: its replicas, or it alone.
func cosigningReplicas(cmd *cobra.Command, alone identity.DID) ([]identity.DID, error) {
	dir, _ := cmd.Flags().GetString("dir")
	var s hubSettings
	if err := loadConfig(cmd, filepath.Join(dir, hubConfigFile), "TRIALMESH_HUB_", &s); err != nil {
		return nil, err
	}
	if len(s.Replicas) == 0 {
		return []identity.DID{alone}, nil
	}
	var dids []identity.DID
	for _, r := range s.Replicas {
		dids = append(dids, r.DID)
	}
	return dids, nil
}

func newHubPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print a policy by which readers demand cosignatures of the ledger",
		Long: `Print a C2SP tlog-policy with the ledger's key, and the hub (each of its replicas, if it has
several) and its nodes as witnesses, of whom
--least must have countersigned a checkpoint. Readers give it to trialmesh verify --policy, and any
other tool that reads tlog-policy. Given to the hub itself (cosigners in hub.yaml), nothing is
published with fewer; then --least should leave room for nodes that are away.`,
		Example: `  trialmesh hub policy --dir hub --least 3 > policy.txt`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localHub(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			trust, err := c.Trust(cmd.Context())
			if err != nil {
				return err
			}
			nodes, err := c.Nodes(cmd.Context())
			if err != nil {
				return err
			}
			dids, err := cosigningReplicas(cmd, trust.Hub)
			if err != nil {
				return err
			}
			for _, n := range nodes {
				if !n.Revoked {
					dids = append(dids, n.DID)
				}
			}
			least, _ := cmd.Flags().GetInt("least")
			if least < 1 || least > len(dids) {
				return usageError{fmt.Errorf("--least: 1 to %d, as many as the hub's replicas and its nodes are", len(dids))}
			}
			var keys []string
			for _, did := range dids {
				key, err := cosign.KeyOf(did)
				if err != nil {
					return err
				}
				keys = append(keys, key)
			}
			policy := cosign.Threshold(least, keys...)
			policy.Logs = []string{trust.LogKey}
			_, err = fmt.Fprint(cmd.OutOrStdout(), policy)
			return err
		},
	}
	cmd.Flags().Int("least", 1, "how many of them must have countersigned")
	return addDir(cmd, "hub")
}
