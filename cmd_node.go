package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// What node commands keep beside the node's own files.
const (
	nodeConfigFile = "node.yaml"
	apiTokenFile   = "api.token"
)

// nodeSettings are the settings of node.yaml, TRIALMESH_NODE_… and the flags.
type nodeSettings struct {
	Database    string        `koanf:"database"`
	Raw         string        `koanf:"raw"`
	Process     string        `koanf:"process"`
	Listen      string        `koanf:"listen"`
	URL         string        `koanf:"url"`
	Certificate string        `koanf:"certificate"`
	Key         string        `koanf:"key"`
	Boards      []string      `koanf:"board"`
	Circuits    string        `koanf:"circuits"`
	Production  bool          `koanf:"production"`
	Shape       shape         `koanf:"circuits-shape"`
	EpochWindow time.Duration `koanf:"epoch-window"`
	EpochPause  time.Duration `koanf:"epoch-pause"`
	Disclosure  limits        `koanf:"disclosure"`

	ApprovalPolicy string   `koanf:"approval-policy"`
	Approvers      []string `koanf:"approver"`

	MLLP            string `koanf:"mllp"`
	MLLPCertificate string `koanf:"mllp-certificate"`
	MLLPKey         string `koanf:"mllp-key"`

	CDSOrigins []string `koanf:"cds-origin"`
}

func newNodeCommand() *cobra.Command {
	return group("node", "Run a node: a hospital's data, consents and answers",
		newNodeInit(), newNodeEnroll(), newNodeRun(), newNodeVocabulary(), newNodeIngest(), newNodeWatch(), newNodePull(), newNodeWearable(), newNodeEndpoint(), newNodeSend(), newNodeSent(), newNodeMap(),
		newNodeVariables(), newNodeUnits(), newNodeCodes(), newNodeDataset(), newNodeRemap(), newNodeJobs(), newNodeQuality(), newNodeConsent(), newNodeParticipants(), newNodeApprovals(), newNodeStatus(), newNodeIndex(), newNodeLinkRecords(),
		newNodeBackup(), newNodeRestore(), newNodeHold(), newNodeResume(), newNodeFsck(), newNodeExtract(), newNodeKey(), newNodeAdoptRaw(), newNodeClient(), newNodeScreen(), newNodeCDSClient())
}

// noBoard warns of a node that nobody can ask anything.
const noBoard = "the node trusts no ethics board, so it refuses every question: set board in node.yaml"

func newNodeInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Join a network: make a node's directory and enroll with an invitation",
		Long: `Make the directory of a new node with its keys and enroll it at the hub with a
one-time invitation. The hub must be running. The invitation is read from a
file or standard input, never from the command line. If the hub's answer is lost
on the way or cannot be written, the directory stays: finish with trialmesh node
enroll.`,
		Example: `  trialmesh node init --dir /var/lib/trialmesh/node --invitation north.invitation --board did:key:z6Mk…
  ssh hub trialmesh hub invite north --dir hub | trialmesh node init --dir node --invitation - --board did:key:z6Mk…`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			path, _ := cmd.Flags().GetString("invitation")
			boards, _ := cmd.Flags().GetStringSlice("board")
			if _, err := parseBoards(boards); err != nil {
				return usageError{err}
			}
			text, err := readSecret(cmd, path)
			if err != nil {
				return err
			}
			invitation, err := pki.ParseInvitation(text)
			if err != nil {
				return err
			}
			did, err := node.Init(cmd.Context(), dir, invitation)
			if err != nil && !errors.Is(err, node.ErrUnfinished) {
				return err
			}
			if err := errors.Join(err, writeNodeSettings(dir, boards)); err != nil {
				return err
			}
			if len(boards) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", noBoard)
			}
			return printName(cmd, did)
		},
	}
	cmd.Flags().String("invitation", "", "file with the invitation, - for standard input (required)")
	cmd.Flags().StringSlice("board", nil, "did:key of an ethics board whose approvals count here, may be repeated")
	if err := cmd.MarkFlagRequired("invitation"); err != nil {
		panic(err) // the flag was defined two lines above
	}
	return addDir(cmd, "new node")
}

// writeNodeSettings writes the first node.yaml of a directory.
func writeNodeSettings(dir string, boards []string) error {
	settings := "# Settings of this node; see trialmesh node run --help.\nlisten: 127.0.0.1:7422\n"
	if len(boards) > 0 {
		settings += "# Ethics boards whose approvals count at this site.\nboard:\n"
		for _, board := range boards {
			settings += "  - " + board + "\n"
		}
	}
	return os.WriteFile(filepath.Join(dir, nodeConfigFile), []byte(settings), 0o600)
}

func newNodeEnroll() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Get a certificate for a node whose own ran out or never came",
		Long: `Enroll the node of a directory again with a new invitation under its old name, from
the hub it had its certificate of. It keeps its key and so its identity. A running
node renews its certificate by itself; this is for one that was off for longer than
the certificate held. It also finishes a node init that lost the hub's answer: with
the same invitation or, if the hub says that it was used, a new one.`,
		Example: `  trialmesh hub invite north --dir hub --out north.invitation
  trialmesh node enroll --dir node --invitation north.invitation`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			path, _ := cmd.Flags().GetString("invitation")
			if err := made("node", dir, "."); err != nil {
				return err
			}
			text, err := readSecret(cmd, path)
			if err != nil {
				return err
			}
			invitation, err := pki.ParseInvitation(text)
			if err != nil {
				return err
			}
			did, err := node.Enroll(cmd.Context(), dir, invitation)
			if err != nil {
				return err
			}
			if _, err := os.Stat(filepath.Join(dir, nodeConfigFile)); errors.Is(err, fs.ErrNotExist) {
				if err := writeNodeSettings(dir, nil); err != nil {
					return err
				}
			}
			return printName(cmd, did)
		},
	}
	cmd.Flags().String("invitation", "", "file with the invitation, - for standard input (required)")
	if err := cmd.MarkFlagRequired("invitation"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return addDir(cmd, "node")
}

func newNodeRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the node until it is interrupted",
		Long: `Run the node. It dials out to its hub and opens no port but its own API and, if
asked to, one for HL7 v2 messages of the site's interface engine (MLLP).
Settings come from node.yaml in the directory, then from the environment
(TRIALMESH_NODE_LISTEN and so on), then from flags.`,
		Example: `  trialmesh node run --dir /var/lib/trialmesh/node
  trialmesh node run --dir node --database postgres:///trialmesh
  trialmesh node run --dir node --mllp 127.0.0.1:2575
  trialmesh node run --dir second --process second --database postgres:///trialmesh --raw s3://hospital-raw/north?region=eu-central-1`,
		Args: args(cobra.NoArgs),
		RunE: runNode,
	}
	cmd.Flags().String("listen", "", "where the API listens, host:port")
	cmd.Flags().String("url", "", "origin under which clients reach the API (default that of its certificate or address)")
	cmd.Flags().String("certificate", "", "PEM file that secures the API; required other than on loopback")
	cmd.Flags().String("key", "", "PEM file with its key")
	cmd.Flags().String("database", "", "sqlite:/path or a postgres:// URL (default a SQLite file in the directory)")
	cmd.Flags().String("process", "", "name of a process that only takes and does loads, beside the node on the same PostgreSQL and raw store")
	cmd.Flags().String("raw", "", "where raw copies are kept: a folder or s3://bucket/prefix?region=…&endpoint=… (default a folder in the directory)")
	cmd.Flags().StringSlice("board", nil, "did:key of an ethics board whose approvals count here, may be repeated")
	cmd.Flags().String("approval-policy", "", "folder or .tar.gz of Rego that decides which questions wait for a person (default: all, if there is an approver)")
	cmd.Flags().StringSlice("approver", nil, "did:key of a person who may approve and refuse questions here, may be repeated")
	cmd.Flags().String("circuits", "", "folder where proving keys are cached (default in the user's cache)")
	cmd.Flags().Bool("production", false, "refuse a network whose proving keys one machine made")
	cmd.Flags().Duration("epoch-window", 0, "how long a commitment to the consents holds (default 24h)")
	cmd.Flags().String("mllp", "", "where HL7 v2 messages are taken by MLLP, host:port (default nowhere)")
	cmd.Flags().String("mllp-certificate", "", "PEM file that secures MLLP; required other than on loopback")
	cmd.Flags().String("mllp-key", "", "PEM file with its key")
	cmd.Flags().StringSlice("cds-origin", nil, "web origin whose pages may call the CDS Hooks service, may be repeated")
	cmd.Flags().Duration("epoch-pause", 0, "how long changes of consents are gathered (default 2s)")
	return addDir(cmd, "node")
}

func parseBoards(texts []string) ([]identity.DID, error) { return parseDIDs("board", texts) }

// parseDIDs reads the names of a setting.
func parseDIDs(setting string, texts []string) ([]identity.DID, error) {
	var list []identity.DID
	for _, text := range texts {
		did, err := identity.ParseDID(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", setting, text, err)
		}
		list = append(list, did)
	}
	return list, nil
}

func runNode(cmd *cobra.Command, _ []string) error {
	dir, _ := cmd.Flags().GetString("dir")
	log, err := newLogger(cmd)
	if err != nil {
		return err
	}
	if err := made("node", dir, nodeConfigFile); err != nil {
		return err
	}
	var s nodeSettings
	if err := loadConfig(cmd, filepath.Join(dir, nodeConfigFile), "TRIALMESH_NODE_", &s); err != nil {
		return err
	}
	boards, err := parseBoards(s.Boards)
	if err != nil {
		return usageError{err}
	}
	approvers, err := parseDIDs("approver", s.Approvers)
	if err != nil {
		return usageError{err}
	}
	if len(boards) == 0 {
		log.WarnContext(cmd.Context(), noBoard)
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
	n, err := node.Open(cmd.Context(), node.Config{
		Dir: dir, DSN: s.Database, Raw: s.Raw, Process: s.Process, Listen: s.Listen, Boards: boards, Circuits: s.Circuits, Shape: s.Shape.Shape, Production: s.Production,
		EpochWindow: s.EpochWindow, EpochPause: s.EpochPause, Policy: policy.WithRates(), Logger: log,
		ApprovalPolicy: s.ApprovalPolicy, Approvers: approvers,
		Secure:     node.Secure{URL: s.URL, Certificate: s.Certificate, Key: s.Key},
		CDSOrigins: s.CDSOrigins,
		MLLP:       node.MLLP{Listen: s.MLLP, Certificate: s.MLLPCertificate, Key: s.MLLPKey},
	})
	if err != nil {
		return err
	}
	remove, err := writePlace(dir, n.URL())
	if err != nil {
		return errors.Join(err, n.Close())
	}
	defer remove()
	log.InfoContext(cmd.Context(), "node runs", "url", n.URL(), "node", n.DID())
	if address := n.MLLPAddress(); address != "" {
		log.InfoContext(cmd.Context(), "HL7 v2 messages are taken", "mllp", address, "secured", s.MLLPCertificate != "")
	}
	return n.Run(cmd.Context())
}

// localNode returns a client of the node whose directory is on this machine.
func localNode(cmd *cobra.Command) (*client.Client, error) {
	dir, _ := cmd.Flags().GetString("dir")
	return nodeAt(dir)
}

// nodeAt returns a client of the node that has a directory on this machine.
func nodeAt(dir string) (*client.Client, error) {
	if err := made("node", dir, nodeConfigFile); err != nil {
		return nil, err
	}
	p, err := readPlace(dir)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, apiTokenFile))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(p.URL, "https:") {
		return client.New(p.URL, strings.TrimSpace(string(token)))
	}
	certificate, err := os.ReadFile(filepath.Join(dir, node.LocalCertificateFile))
	if err != nil {
		return nil, err
	}
	return client.NewSecured(p.URL, strings.TrimSpace(string(token)), certificate)
}

func newNodeVocabulary() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vocabulary FOLDER",
		Short: "Load an OMOP vocabulary as Athena delivers it",
		Long: `Load CONCEPT.csv and CONCEPT_RELATIONSHIP.csv (plain or .gz, tab or comma) from
FOLDER into the node's database, replacing the vocabulary that is there. Get one
that your site is licensed for from OHDSI Athena. The node may be running. CONCEPT_ANCESTOR
is loaded too if it is there: without it no cohort can ask for descendants or eras of drugs.
A load that was broken off goes on where it was when it is begun again.`,
		Example: `  trialmesh node vocabulary ~/athena --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			if err := made("node", dir, nodeConfigFile); err != nil {
				return err
			}
			var s nodeSettings
			if err := loadConfig(cmd, filepath.Join(dir, nodeConfigFile), "TRIALMESH_NODE_", &s); err != nil {
				return err
			}
			loaded, err := node.LoadVocabulary(cmd.Context(), node.Config{Dir: dir, DSN: s.Database}, os.DirFS(args[0]), vocabularyProgress(cmd, time.Now))
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, loaded)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d concepts, %d mappings, %d lines of ancestors, version %s\n", loaded.Concepts, loaded.Mappings, loaded.Ancestry, loaded.Version)
			return err
		},
	}
	return addDir(cmd, "node")
}

// betweenLines is the least time from a line about progress to the next in a log.
const betweenLines = 10 * time.Second

// vocabularyProgress says how far each file is, every tenth of it, and to who has no terminal
// at most every [betweenLines]. They are read twice, first to see whether they are those of a
// load that was broken off.
func vocabularyProgress(cmd *cobra.Command, now func() time.Time) func(file string, read, size int64) {
	p := newProgress(cmd, 0)
	p.last = now()
	reads, tenths := map[string]string{}, map[string]int64{}
	return func(file string, read, size int64) {
		tenth := 10 * read / max(size, 1)
		if tenth < tenths[file] || reads[file] == "" {
			reads[file] = map[string]string{"": "checking", "checking": "loading"}[reads[file]]
		}
		if tenth != tenths[file] && (p.terminal || now().Sub(p.last) >= betweenLines) {
			p.last = now()
			p.say(fmt.Sprintf("%s %s: %d %%", reads[file], file, 10*tenth))
		}
		tenths[file] = tenth
	}
}

func newNodeStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say where the running node is reached, and how it is",
		Example: `  trialmesh node status --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			told, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			s := nodeStatus{URL: c.Origin(), Status: told}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			return printStatus(cmd, s)
		},
	}
	return addDir(cmd, "node")
}

// nodeStatus is what status prints.
type nodeStatus struct {
	URL string `json:"url"` // origin at which this machine reaches the node
	client.Status
}

func printStatus(cmd *cobra.Command, s nodeStatus) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "node\t%s\naddress\t%s\n", s.DID, s.URL)
	if s.Process != "" {
		fmt.Fprintf(w, "process\t%s, one of several of this node: it only does loads, and the node itself speaks to the hub\n", s.Process)
	} else {
		fmt.Fprintf(w, "connected to the hub\t%t\n", s.Connected)
	}
	if p := s.Protocol; p != nil && p.Hub != nil {
		fmt.Fprintf(w, "protocol\t%s; the hub speaks %s\n", p.Speaks, p.Hub)
	}
	if p := s.Protocol; p != nil && p.Update != "" {
		fmt.Fprintf(w, "does not work with the hub\t%s\n", printable(p.Update))
	}
	for _, rows := range sorted(s.Tables) {
		fmt.Fprintf(w, "%s\t%d rows\n", rows, s.Tables[rows])
	}
	if s.Index != nil {
		fmt.Fprintf(w, "event index\t%s, %d bytes\n", s.Index.Phase, s.Index.Bytes)
	}
	for _, state := range sorted(s.Jobs) {
		fmt.Fprintf(w, "loads %s\t%d\n", state, s.Jobs[state])
	}
	for _, c := range s.Consents {
		fmt.Fprintf(w, "trial %s\t%d consents, %d withdrawn, %d refused; epoch %d, up to date: %t\n", c.Trial, c.Active, c.Withdrawn, c.Refused, c.Epoch, c.Current)
	}
	if s.Approvals > 0 {
		fmt.Fprintf(w, "questions that wait for approval\t%d; see trialmesh node approvals list\n", s.Approvals)
	}
	for _, rule := range sorted(s.Decisions) {
		fmt.Fprintf(w, "questions %s\t%d\n", rule, s.Decisions[rule])
	}
	return w.Flush()
}

func sorted(m map[string]int64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
