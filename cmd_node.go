package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	Listen      string        `koanf:"listen"`
	Boards      []string      `koanf:"board"`
	Circuits    string        `koanf:"circuits"`
	Shape       shape         `koanf:"circuits-shape"`
	EpochWindow time.Duration `koanf:"epoch-window"`
	EpochPause  time.Duration `koanf:"epoch-pause"`
	Disclosure  limits        `koanf:"disclosure"`
}

func newNodeCommand() *cobra.Command {
	return group("node", "Run a node: a hospital's data, consents and answers",
		newNodeInit(), newNodeEnroll(), newNodeRun(), newNodeVocabulary(), newNodeIngest(), newNodeConsent(), newNodeStatus())
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
			settings := "# Settings of this node; see trialmesh node run --help.\nlisten: 127.0.0.1:7422\n"
			if len(boards) > 0 {
				settings += "# Ethics boards whose approvals count at this site.\nboard:\n"
				for _, board := range boards {
					settings += "  - " + board + "\n"
				}
			}
			if err := errors.Join(err, os.WriteFile(filepath.Join(dir, nodeConfigFile), []byte(settings), 0o600)); err != nil {
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
		Long: `Run the node. It dials out to its hub and opens no port but its own API.
Settings come from node.yaml in the directory, then from the environment
(TRIALMESH_NODE_LISTEN and so on), then from flags.`,
		Example: `  trialmesh node run --dir /var/lib/trialmesh/node
  trialmesh node run --dir node --database postgres:///trialmesh`,
		Args: args(cobra.NoArgs),
		RunE: runNode,
	}
	cmd.Flags().String("listen", "", "where the API listens, host:port")
	cmd.Flags().String("database", "", "sqlite:/path or a postgres:// URL (default a SQLite file in the directory)")
	cmd.Flags().StringSlice("board", nil, "did:key of an ethics board whose approvals count here, may be repeated")
	cmd.Flags().String("circuits", "", "folder where proving keys are cached (default in the user's cache)")
	cmd.Flags().Duration("epoch-window", 0, "how long a commitment to the consents holds (default 24h)")
	cmd.Flags().Duration("epoch-pause", 0, "how long changes of consents are gathered (default 2s)")
	return addDir(cmd, "node")
}

func parseBoards(texts []string) ([]identity.DID, error) {
	var boards []identity.DID
	for _, text := range texts {
		board, err := identity.ParseDID(text)
		if err != nil {
			return nil, fmt.Errorf("board %q: %w", text, err)
		}
		boards = append(boards, board)
	}
	return boards, nil
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
	if len(boards) == 0 {
		log.WarnContext(cmd.Context(), noBoard)
	}
	if s.Circuits == "" {
		if s.Circuits, err = prover.CacheDir(); err != nil {
			return fmt.Errorf("%w; set circuits", err)
		}
	}
	n, err := node.Open(cmd.Context(), node.Config{
		Dir: dir, DSN: s.Database, Listen: s.Listen, Boards: boards, Circuits: s.Circuits, Shape: s.Shape.Shape,
		EpochWindow: s.EpochWindow, EpochPause: s.EpochPause, Policy: s.Disclosure.policy(), Logger: log,
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
	return n.Run(cmd.Context())
}

// localNode returns a client of the node whose directory is on this machine.
func localNode(cmd *cobra.Command) (*client.Client, error) {
	dir, _ := cmd.Flags().GetString("dir")
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
	return client.New(p.URL, strings.TrimSpace(string(token)))
}

func newNodeVocabulary() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vocabulary FOLDER",
		Short: "Load an OMOP vocabulary as Athena delivers it",
		Long: `Load CONCEPT.csv and CONCEPT_RELATIONSHIP.csv (plain or .gz, tab or comma) from
FOLDER into the node's database, replacing the vocabulary that is there. Get one
that your site is licensed for from OHDSI Athena. The node may be running.`,
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
			loaded, err := node.LoadVocabulary(cmd.Context(), node.Config{Dir: dir, DSN: s.Database}, os.DirFS(args[0]))
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, loaded)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d concepts, %d mappings, version %s\n", loaded.Concepts, loaded.Mappings, loaded.Version)
			return err
		},
	}
	return addDir(cmd, "node")
}

func newNodeIngest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ingest PATH…",
		Short: "Load FHIR files into the node",
		Long: `Load FHIR R4 bundles and NDJSON files (plain or .gz) into the running node; a folder
stands for all files in it that are named *.json, *.ndjson or *.jsonl, plain or .gz.
An empty file is an error, and nothing is sent then. Each file is durable when it is acknowledged; then
its job maps and stores it. Loading the same file again changes nothing. The
command waits for the jobs and lists what was not loaded as it is, by file, line,
path and rule; it ends with status 1 if a job failed or nothing of any file could
be loaded. While the node cannot write,
for example because its disk is full, the jobs wait and the command says so. With
--timeout or Ctrl-C it stops waiting, also with status 1; the node does not.`,
		Example: `  trialmesh node ingest --dir node bundles/
  trialmesh node ingest --dir node --timeout 10m bundles/
  trialmesh node ingest --dir node export/*.ndjson --json | tail -1`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: ingest,
	}
	cmd.Flags().Duration("timeout", 0, "how long to send and to wait, 0 for as long as it takes")
	return addDir(cmd, "node")
}

// outcome is what loading gave, as --json prints it. Of files that were loaded
// before it counts nothing else.
type outcome struct {
	Jobs       []string         `json:"jobs"`
	State      string           `json:"state"`
	Files      int              `json:"files"`
	Before     int              `json:"loadedBefore"`
	Records    int64            `json:"records"`
	Stored     int64            `json:"stored"`
	Duplicates int64            `json:"duplicates"`
	Rejected   int64            `json:"rejected"`
	Unmapped   int64            `json:"unmapped"`
	ByType     map[string]int64 `json:"byType"`
	Problems   []client.Problem `json:"problems"`
}

func ingest(cmd *cobra.Command, args []string) error {
	ctx, begun := cmd.Context(), time.Now()
	timeout, _ := cmd.Flags().GetDuration("timeout")
	if timeout < 0 {
		return usageError{errors.New("--timeout: a duration of 0 or more")}
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	c, err := localNode(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	files, others, err := expand(args)
	if err != nil {
		return err
	}
	out := outcome{State: "completed", ByType: map[string]int64{}, Problems: []client.Problem{}}
	progress := newProgress(cmd, len(files))
	if others > 0 {
		progress.say(fmt.Sprintf("left out %d files that are not named *.json, *.ndjson or *.jsonl, plain or .gz", others))
	}
	for _, path := range files {
		id, err := upload(ctx, c, path)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d files were sent; the node goes on with them", len(out.Jobs), len(files))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out.Jobs = append(out.Jobs, id)
		progress.step("sent")
	}
	progress = newProgress(cmd, len(files))
	var held string
	rejected := 0
	for i, id := range out.Jobs {
		job, err := c.Watch(ctx, id, func(j client.Job) {
			if j.Held != held {
				progress.say(cmp.Or(j.Held, "the node goes on"))
				held = j.Held
			}
		})
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d files are loaded; the node goes on with the others: see trialmesh node status", out.Files, len(files))
		}
		if err != nil {
			return fmt.Errorf("job %s: %w", id, err)
		}
		// The node keeps the job of content that it has loaded well.
		switch before := job.Ended.Before(begun) && !job.Ended.IsZero(); {
		case before, slices.Contains(out.Jobs[:i], id):
			out.Files, out.Before = out.Files+1, out.Before+1
		case job.Rejected > 0 && job.Stored+job.Replaced+job.Duplicates == 0:
			rejected++
			fallthrough
		default:
			out.add(job)
		}
		progress.step("loaded")
	}
	if err := out.print(cmd); err != nil {
		return err
	}
	switch {
	case out.State == "failed":
		return errors.New("at least one file was not loaded")
	case rejected == len(files):
		return errors.New("nothing was loaded: every file was rejected")
	}
	return nil
}

func (o *outcome) add(j client.Job) {
	o.Files++
	o.Records += j.Records
	o.Stored += j.Stored
	o.Duplicates += j.Duplicates
	o.Rejected += j.Rejected
	o.Unmapped += j.Unmapped
	for t, n := range j.ByType {
		o.ByType[t] += n
	}
	o.Problems = append(o.Problems, j.Problems...)
	switch {
	case j.State == "completed", o.State == "failed":
	case j.State == "completed with problems":
		o.State = j.State
	default:
		o.State = "failed"
	}
}

func (o *outcome) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, o)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s\nfiles\t%d\n", o.State, o.Files)
	if o.Before > 0 {
		fmt.Fprintf(w, "loaded before\t%d files\n", o.Before)
	}
	fmt.Fprintf(w, "records\t%d\nrows stored\t%d\nalready there\t%d\nrejected\t%d\nwithout a standard concept\t%d\n",
		o.Records, o.Stored, o.Duplicates, o.Rejected, o.Unmapped)
	types := make([]string, 0, len(o.ByType))
	for t := range o.ByType {
		types = append(types, t)
	}
	slices.Sort(types)
	if len(types) > 0 {
		fmt.Fprintln(w, "records by type")
	}
	for _, t := range types {
		fmt.Fprintf(w, "  %s\t%d\n", t, o.ByType[t])
	}
	for _, p := range o.Problems {
		fmt.Fprintf(w, "problem\t%s line %d %s\t%s\n", p.File, p.Line, p.Path, p.Rule)
	}
	return w.Flush()
}

// fhirFile matches the names of the files that a folder stands for.
var fhirFile = regexp.MustCompile(`(?i)\.(json|ndjson|jsonl)(\.gz)?$`)

// expand returns the files that paths stand for, of which none is empty, and how
// many files of folders it left out.
func expand(paths []string) (files []string, others int, err error) {
	for _, path := range paths {
		before := len(files)
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if name != path && !fhirFile.MatchString(name) {
				others++
				return nil
			}
			info, err := d.Info()
			if err == nil && info.Size() == 0 {
				err = fmt.Errorf("%s: the file is empty; nothing was sent", name)
			}
			files = append(files, name)
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		if len(files) == before {
			return nil, 0, fmt.Errorf("%s: no FHIR file is there: of a folder the files *.json, *.ndjson and *.jsonl are loaded, plain or .gz; name others one by one", path)
		}
	}
	return files, others, nil
}

func upload(ctx context.Context, c *client.Client, path string) (job string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	u, err := c.Upload(ctx, filepath.Base(path), f)
	return u.Job, err
}

// progress counts on standard error, on one line if that is a terminal.
type progress struct {
	cmd         *cobra.Command
	done, total int
	terminal    bool
	last        time.Time
}

func newProgress(cmd *cobra.Command, total int) *progress {
	p := &progress{cmd: cmd, total: total}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// say puts a sentence on a line of its own.
func (p *progress) say(text string) {
	if p.terminal && p.done > 0 {
		fmt.Fprintln(p.cmd.ErrOrStderr())
	}
	fmt.Fprintln(p.cmd.ErrOrStderr(), text)
}

func (p *progress) step(what string) {
	p.done++
	final := p.done == p.total
	if wait := time.Second / 10; !final && time.Since(p.last) < wait {
		return
	}
	p.last = time.Now()
	switch {
	case p.terminal:
		end := ""
		if final {
			end = "\n"
		}
		fmt.Fprintf(p.cmd.ErrOrStderr(), "\r%s %d of %d files%s", what, p.done, p.total, end)
	case final:
		fmt.Fprintf(p.cmd.ErrOrStderr(), "%s %d files\n", what, p.total)
	}
}

func newNodeConsent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consent FILE",
		Short: "Record participants' signed consents",
		Long: `Record signed consents, refusals and withdrawals from FILE (- for standard input):
one JSON object a line, {"patient": id of the FHIR Patient, "consent": signed
envelope}. All are durable when the command ends. A withdrawal counts at once,
a grant as soon as the node has put its next commitment on the ledger.`,
		Example: `  trialmesh node consent consents.ndjson --dir node`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			raw, err := readInput(cmd, args[0])
			if err != nil {
				return err
			}
			list, err := parseConsents(raw)
			if err != nil {
				return err
			}
			n, err := c.RecordConsents(cmd.Context(), list)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"recorded": n})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d recorded\n", n)
			return err
		},
	}
	return addDir(cmd, "node")
}

func parseConsents(raw []byte) ([]client.Consent, error) {
	var list []client.Consent
	scanner := bufio.NewScanner(strings.NewReader(string(raw)))
	scanner.Buffer(nil, maxInput)
	for line := 1; scanner.Scan(); line++ {
		if len(strings.TrimSpace(scanner.Text())) == 0 {
			continue
		}
		var one client.Consent
		if err := decodeJSON(scanner.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("line %d is not a consent", line)
		}
		list = append(list, one)
	}
	return list, scanner.Err()
}

func newNodeStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say how the running node is",
		Example: `  trialmesh node status --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := localNode(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			return printStatus(cmd, s)
		},
	}
	return addDir(cmd, "node")
}

func printStatus(cmd *cobra.Command, s client.Status) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "node\t%s\nconnected to the hub\t%t\n", s.DID, s.Connected)
	for _, rows := range sorted(s.Tables) {
		fmt.Fprintf(w, "%s\t%d rows\n", rows, s.Tables[rows])
	}
	for _, state := range sorted(s.Jobs) {
		fmt.Fprintf(w, "loads %s\t%d\n", state, s.Jobs[state])
	}
	for _, c := range s.Consents {
		fmt.Fprintf(w, "trial %s\t%d consents, %d withdrawn, %d refused; epoch %d, up to date: %t\n", c.Trial, c.Active, c.Withdrawn, c.Refused, c.Epoch, c.Current)
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
