package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/backup"
	"github.com/trialmesh/trialmesh/node/fsck"
)

func newNodeBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Back the node up into one encrypted file",
		Long: `Write the whole node into one file, also while it runs: keys, settings, mappings, the
database as of one moment and every raw copy that this state needs; those in a bucket
stay there, and it is seen to that all are. The file is
encrypted with age (age-encryption.org) to one or more recipients and cannot be read
without one of their secret keys, so keep those elsewhere. It is there under its name
only when it is whole and on disk.`,
		Example: `  age-keygen -o backup.key        # once; keep it apart from the node
  trialmesh node backup --dir node --to /mnt/backup/node-1.age --recipient age1…
  trialmesh node backup --dir node --to /mnt/backup/node-1.age --recipients-file backup.pub`,
		Args: args(cobra.NoArgs),
		RunE: backupNode,
	}
	cmd.Flags().String("to", "", "file to write, which must not exist (required)")
	cmd.Flags().StringSlice("recipient", nil, "public key of age that may open the backup, may be repeated")
	cmd.Flags().String("recipients-file", "", "file with such keys, one a line")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag was defined above
	}
	return addDir(cmd, "node")
}

func backupNode(cmd *cobra.Command, _ []string) error {
	to, _ := cmd.Flags().GetString("to")
	keys, _ := cmd.Flags().GetStringSlice("recipient")
	file, _ := cmd.Flags().GetString("recipients-file")
	text := strings.Join(keys, "\n")
	if file != "" {
		more, err := readInput(cmd, file)
		if err != nil {
			return err
		}
		text += "\n" + string(more)
	}
	if strings.TrimSpace(text) == "" {
		return usageError{errors.New("name who can open the backup with --recipient or --recipients-file: it holds keys and patients, so it is always encrypted")}
	}
	recipients, err := backup.ParseRecipients(text)
	if err != nil {
		return usageError{err}
	}
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return err
	}
	m, err := node.Backup(cmd.Context(), cfg, to, recipients, version(), newMeter(cmd).show)
	if err != nil {
		return err
	}
	if err := printBackup(cmd, to, m); err != nil {
		return err
	}
	if m.Missing > 0 {
		return fmt.Errorf("the backup is written, but %d raw copies that the database needs are not there: see trialmesh node fsck", m.Missing)
	}
	return nil
}

// nodeConfig returns which node a command is for that needs no running one.
func nodeConfig(cmd *cobra.Command) (node.Config, error) {
	dir, _ := cmd.Flags().GetString("dir")
	if err := made("node", dir, nodeConfigFile); err != nil {
		return node.Config{}, err
	}
	var s nodeSettings
	if err := loadConfig(cmd, filepath.Join(dir, nodeConfigFile), "TRIALMESH_NODE_", &s); err != nil {
		return node.Config{}, err
	}
	return node.Config{Dir: dir, DSN: s.Database, Raw: s.Raw, Shape: s.Shape.Shape}, nil
}

func printBackup(cmd *cobra.Command, to string, m backup.Manifest) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, map[string]any{"file": to, "manifest": m})
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "backup\t%s\nstate of\t%s\ndatabase\t%s\nfiles and tables\t%d\nraw copies\t%d\nbytes\t%d\n",
		to, m.At.Format(time.RFC3339), m.Engine, len(m.Parts), m.RawFiles, m.Bytes())
	return w.Flush()
}

func newNodeRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a node of a backup",
		Long: `Make a node in a new directory of a file that node backup wrote. Every part is
compared with its digest and the node is checked as by node fsck before it is put in
place; a restore that was broken off leaves nothing that could be run. A backup of
PostgreSQL goes into an empty database that --database names. The setting database in
node.yaml is changed to where it is now; read the others before you start the node.

The node of the backup must not run any more, here or elsewhere. The restored node has
forgotten what came after the backup: loads, consents and withdrawals, and what it has
released. So it takes loads and consents, and answers nothing until node resume.`,
		Example: `  trialmesh node restore --from node-1.age --identity backup.key --dir node
  trialmesh node restore --from node-1.age --identity backup.key --dir node --database postgres:///trialmesh`,
		Args: args(cobra.NoArgs),
		RunE: restoreNode,
	}
	cmd.Flags().String("from", "", "file that node backup wrote (required)")
	cmd.Flags().String("identity", "", "file with a secret key of age, as age-keygen writes it, - for standard input (required)")
	cmd.Flags().String("database", "", "postgres:// URL of an empty database, for a backup of PostgreSQL")
	cmd.Flags().String("raw", "", "s3:// address of the bucket where the raw copies are now, of a backup that left them in one")
	for _, name := range []string{"from", "identity"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags were defined above
		}
	}
	return addDir(cmd, "new node")
}

func restoreNode(cmd *cobra.Command, _ []string) error {
	dir, _ := cmd.Flags().GetString("dir")
	from, _ := cmd.Flags().GetString("from")
	identity, _ := cmd.Flags().GetString("identity")
	database, _ := cmd.Flags().GetString("database")
	secret, err := readInput(cmd, identity)
	if err != nil {
		return err
	}
	keys, err := backup.ParseIdentities(bytes.NewReader(secret))
	if err != nil {
		return fmt.Errorf("%s: %w", identity, err)
	}
	rawStore, _ := cmd.Flags().GetString("raw")
	m, report, err := node.Restore(cmd.Context(), node.Config{Dir: dir, DSN: database, Raw: rawStore}, from, keys,
		func(stage, bucket string) error { return setPlaces(cmd, stage, database, bucket) }, newMeter(cmd).show)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		err = printJSON(cmd, map[string]any{"dir": dir, "manifest": m, "fsck": report})
	} else {
		err = errors.Join(printBackup(cmd, from, m), printFsck(cmd, report))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), `The node is as it was at %s and knows nothing later. Before it answers again:
- see that the node of the backup runs nowhere any more
- start it with node run, load what came since, and record all consents and withdrawals
  since: what is there already changes nothing
- then stop it and run: trialmesh node resume --dir %s
`, m.At.Format(time.RFC3339), dir)
	return errors.Join(err, foundErr(report))
}

// placeSetting is the line of node.yaml that names the database or the raw store.
var placeSetting = regexp.MustCompile(`(?m)^(database|raw)[ \t]*:.*\n?`)

// setPlaces makes the settings in dir name the database that a node was restored into, ""
// for the SQLite file in dir, and the bucket where its raw copies are, "" if they are in dir.
func setPlaces(cmd *cobra.Command, dir, database, bucket string) error {
	path := filepath.Join(dir, nodeConfigFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	settings := placeSetting.ReplaceAllString(string(text), "")
	if settings != "" && !strings.HasSuffix(settings, "\n") {
		settings += "\n"
	}
	if database != "" {
		settings += fmt.Sprintf("database: %q\n", database)
	}
	if bucket != "" {
		settings += fmt.Sprintf("raw: %q\n", bucket)
	}
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil { //nolint:gosec // the operator names the folder
		return err
	}
	var s nodeSettings
	if err := loadConfig(cmd, path, "TRIALMESH_NODE_", &s); err != nil {
		return err
	}
	if s.Database != database {
		return errors.New("node.yaml or TRIALMESH_NODE_DATABASE names another database than the one that was restored")
	}
	if s.Raw != bucket {
		return errors.New("node.yaml or TRIALMESH_NODE_RAW names another raw store than that of the restored node")
	}
	return nil
}

func newNodeHold() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Keep a node from answering whose database went back in time",
		Long: `Keep a node from answering questions and publishing consents until node resume, as node
restore does. It is for a node whose database was restored by other means, such as
PostgreSQL's point-in-time recovery. The node must not run. Questions that were under
way are dropped.`,
		Example: `  trialmesh node hold --dir node --at 2026-03-01T08:00:00Z`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, _ := cmd.Flags().GetString("at")
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return usageError{errors.New("--at: want a time such as 2026-03-01T08:00:00Z")}
			}
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			return node.Hold(cmd.Context(), cfg, at)
		},
	}
	cmd.Flags().String("at", "", "moment that the database was restored to (required)")
	if err := cmd.MarkFlagRequired("at"); err != nil {
		panic(err) // the flag was defined above
	}
	return addDir(cmd, "node")
}

func newNodeResume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let a restored node answer again",
		Long: `Let a node that was restored or held answer questions and publish consents again,
from its next start on. Do it when all consents and withdrawals since the backup are
recorded. What the node has released since is not known to it and cannot be brought
back: its guard against differences and its budgets begin where they were then. If
many questions were answered since, or if you do not know, revoke the node instead and
enroll a new one.`,
		Example: `  trialmesh node resume --dir node`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("dir")
			if err := made("node", dir, nodeConfigFile); err != nil {
				return err
			}
			at, err := node.Held(dir)
			if err != nil {
				return err
			}
			if err := node.Resume(dir, time.Now()); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"backupOf": at})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the node answers from its next start on, as one that forgot what came after", at.Format(time.RFC3339))
			return err
		},
	}
	return addDir(cmd, "node")
}

// meter shows progress on standard error, on one line if that is a terminal.
type meter struct {
	cmd   *cobra.Command
	shown progress
	last  fsck.Progress
	begun time.Time // of what is being done
}

func newMeter(cmd *cobra.Command) *meter { return &meter{cmd: cmd, shown: *newProgress(cmd, 0)} }

func (m *meter) show(p fsck.Progress) {
	now := time.Now()
	if p.Doing != m.last.Doing {
		m.begun = now
	}
	if !m.shown.terminal || p.Doing == m.last.Doing && p.Done != p.Total && now.Sub(m.shown.last) < time.Second/10 {
		m.last = p
		return
	}
	m.last, m.shown.last = p, now
	text := p.Doing
	if p.Total > 0 {
		text += fmt.Sprintf(" %d of %d", p.Done, p.Total)
	}
	if p.Bytes > 0 {
		text += fmt.Sprintf(", %d MB", p.Bytes/1e6)
		if took := now.Sub(m.begun).Seconds(); took > 1 {
			text += fmt.Sprintf(", %.0f MB/s", float64(p.Bytes)/1e6/took)
		}
	}
	end := ""
	if p.Total > 0 && p.Done == p.Total {
		end = "\n"
	}
	fmt.Fprintf(m.cmd.ErrOrStderr(), "\r\x1b[K%s%s", text, end)
}
