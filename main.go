// Command trialmesh runs a hub or a node of a federated network for health
// data, asks questions of it and verifies its answers.
//
// The files of this package turn flags, environment and YAML into the
// configuration of packages hub, node and their clients; they decide nothing.
// Exit status: 0 when it worked, 1 when it was refused or failed, 2 when the
// command was called wrongly.
package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	nodeclient "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/spelling"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run())
}

// run is main with deferred calls and an exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd, err := newRoot().ExecuteContextC(ctx)
	if err != nil {
		printError(cmd, err)
	}
	return statusOf(err)
}

// failure is an error as --json prints it.
type failure struct {
	Error  string       `json:"error"`
	Kind   problem.Kind `json:"kind,omitempty"` // of an error that a hub or a node answered
	Rule   string       `json:"rule,omitempty"` // that refused
	Fix    []string     `json:"fix,omitempty"`  // what to change, a sentence for each rule
	Hint   string       `json:"hint,omitempty"`
	Status int          `json:"status"` // the exit status
}

// printError says on standard error what went wrong and what to do next.
func printError(cmd *cobra.Command, err error) {
	f := failure{Error: err.Error(), Fix: fixesFor(err), Hint: hintFor(err), Status: statusOf(err)}
	if wantsJSON(cmd) {
		if p := new(problem.Error); errors.As(err, &p) {
			f.Kind, f.Rule = p.Kind, p.Rule
		}
		_ = json.NewEncoder(cmd.ErrOrStderr()).Encode(f)
		return
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "trialmesh:", f.Error)
	if at := new(formula.Error); errors.As(err, &at) {
		fmt.Fprintln(cmd.ErrOrStderr(), indented(at.Pointer()))
	}
	for _, fix := range f.Fix {
		fmt.Fprintln(cmd.ErrOrStderr(), "fix:", fix)
	}
	if f.Hint != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "hint:", f.Hint)
	}
}

// indented moves lines to the right, to set them off.
func indented(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// statusOf returns the exit status for what a command returned.
func statusOf(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)):
		return exitUsage
	}
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "trialmesh",
		Short:         "A federated network for health data: the data stays, the question travels",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // else cobra refuses an unknown command itself
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		// It runs before every command, and before cobra's own check of required flags.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := newLogger(cmd); err != nil {
				return err
			}
			if err := readEnvironment(cmd); err != nil {
				return err
			}
			if err := cmd.ValidateRequiredFlags(); err != nil {
				return usageError{fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())}
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w%s (see %s --help)", err, flagHint(cmd, err), cmd.CommandPath())}
	})
	root.PersistentFlags().Bool("json", false, "print one JSON object a line instead of text, errors too")
	root.PersistentFlags().String("log-level", "info", "debug, info, warn or error")
	root.PersistentFlags().String("log-format", "text", "text or json")
	root.AddCommand(newKeyCommand(), newCeremonyCommand(), newHubCommand(), newNodeCommand(), newTrialCommand(), newQueryCommand(), newStudyCommand(), newCohortCommand(), newVerifyCommand(), newRedTeamCommand(), newBenchCommand())
	return root
}

// version is the module's version or, of a build from a working tree, the
// revision that was checked out.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s needs a command: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return usageError{fmt.Errorf("unknown command %q%s: see %s --help", name, spelling.Hint(name, known...), cmd.CommandPath())}
}

// flagHint names the flag that was meant, if err is about one that a command does not have.
func flagHint(cmd *cobra.Command, err error) string {
	unknown := new(pflag.NotExistError)
	if !errors.As(err, &unknown) {
		return ""
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := spelling.Nearest(unknown.GetSpecifiedName(), known...); near != "" {
		return " (did you mean --" + near + "?)"
	}
	return ""
}

// usageError is a call that cannot be right, whatever the state of the world.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// args checks the number of arguments.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
}

// addLife adds a flag for a time of whole days, whose default is shown as days, too.
func addLife(cmd *cobra.Command, name string, life time.Duration, usage string) {
	cmd.Flags().Duration(name, life, usage)
	const day = 24 * time.Hour
	cmd.Flags().Lookup(name).DefValue = fmt.Sprintf("%dh, %s", life/time.Hour, counted(int(life/day), "day"))
}

// hintFor says what to do next about errors that people meet often.
func hintFor(err error) string {
	var p *problem.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown) && errors.Is(err, hubclient.ErrUnreachable):
		return "give the hub's root certificate with --root; its operator has it as root.pem"
	case errors.Is(err, syscall.ECONNREFUSED) && (nodeclient.Unreachable(err) || errors.Is(err, hubclient.ErrUnreachable)): // not a server of others
		return "nothing listens there: start it with hub run or node run"
	case errors.Is(err, sqldb.ErrForbidden):
		return "grant the account SELECT on it"
	case errors.As(err, &p) && p.Kind == problem.Unauthorized:
		return "give a token with --token-file; the hub's operator makes one with trialmesh hub token"
	}
	return ""
}

// newLogger returns the logger that the flags ask for. It writes to standard error.
func newLogger(cmd *cobra.Command) (*slog.Logger, error) {
	name, _ := cmd.Flags().GetString("log-level") // defined on the root
	format, _ := cmd.Flags().GetString("log-format")
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	opts := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), opts)), nil
	}
	return nil, usageError{errors.New("--log-format: text or json")}
}

// wantsJSON reports whether --json is set.
func wantsJSON(cmd *cobra.Command) bool {
	on, _ := cmd.Flags().GetBool("json") // defined on the root
	return on
}

// counted says how many there are of what a noun names: 1 file, 2 files.
func counted(n int, noun string) string {
	switch {
	case n == 1:
	case noun == "criterion":
		noun = "criteria"
	case noun == "entry":
		noun = "entries"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// printJSON prints one value as one line.
func printJSON(cmd *cobra.Command, value any) error {
	return encodeJSON(cmd.OutOrStdout(), value)
}

func encodeJSON(out io.Writer, value any) error { return json.NewEncoder(out).Encode(value) }

// loadConfig reads settings from a YAML file that may be missing, then from
// the environment (prefix and upper-case name, TRIALMESH_HUB_LISTEN), then from
// flags that were set, each over the one before, into out. A name in the file
// that out does not have is an error: a misspelled limit would be no limit.
func loadConfig(cmd *cobra.Command, path, prefix string, out any) error {
	k := koanf.New(".")
	if _, err := os.Stat(path); err == nil {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return usageError{fmt.Errorf("%s: %w", path, err)}
		}
		var found mapstructure.Metadata
		strict := koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
			TagName: "koanf", Result: out, Metadata: &found, WeaklyTypedInput: true, DecodeHook: decodeHook,
		}}
		if err := k.UnmarshalWithConf("", out, strict); err != nil {
			return usageError{fmt.Errorf("%s: %w", path, err)}
		}
		if len(found.Unused) > 0 {
			name := slices.Min(found.Unused)
			return usageError{fmt.Errorf("%s: no setting is called %q%s", path, name, spelling.Hint(name, slices.Concat(found.Keys, found.Unset)...))}
		}
	}
	name := func(key, value string) (string, any) {
		key = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, prefix)), "_", "-")
		if strings.Contains(value, ",") {
			return key, strings.Split(value, ",")
		}
		return key, value
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: prefix, TransformFunc: name}), nil); err != nil {
		return err
	}
	if err := k.Load(posflag.Provider(cmd.Flags(), ".", k), nil); err != nil {
		return err
	}
	err := k.UnmarshalWithConf("", out, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		TagName: "koanf", Result: out, WeaklyTypedInput: true, DecodeHook: decodeHook,
	}})
	if err != nil {
		return usageError{err}
	}
	return nil
}

// decodeHook reads durations, lists and types with a text form.
var decodeHook = mapstructure.ComposeDecodeHookFunc(
	mapstructure.StringToTimeDurationHookFunc(), mapstructure.TextUnmarshallerHookFunc(), mapstructure.StringToSliceHookFunc(","))

// limits are the disclosure limits of the settings: what is 0 or missing is as
// in disclosure.Default, and what would be looser than that does not count.
type limits struct {
	MinCell       int `koanf:"min-cell"`
	Rounding      int `koanf:"rounding"`
	MinSites      int `koanf:"min-sites"`
	MaxShare      int `koanf:"max-share"`
	MinDifference int `koanf:"min-difference"`
	MaxQuestions  int `koanf:"max-questions"`

	ResearcherPerDay  int `koanf:"researcher-per-day"`
	ResearcherPerWeek int `koanf:"researcher-per-week"`
	TrialPerDay       int `koanf:"trial-per-day"`
	TrialPerWeek      int `koanf:"trial-per-week"`

	Noise             disclosure.Noise `koanf:"noise"`
	NoiseScale        int              `koanf:"noise-scale"`
	ResearcherEpsilon float64          `koanf:"researcher-epsilon"`
	TrialEpsilon      float64          `koanf:"trial-epsilon"`
	Delta             float64          `koanf:"delta"`
}

func (l limits) policy() (disclosure.Policy, error) {
	own := disclosure.Policy{
		MinCell: l.MinCell, Rounding: l.Rounding, MinSites: l.MinSites,
		MaxShare: l.MaxShare, MinDifference: l.MinDifference, MaxQuestions: l.MaxQuestions,
		ResearcherPerDay: l.ResearcherPerDay, ResearcherPerWeek: l.ResearcherPerWeek,
		TrialPerDay: l.TrialPerDay, TrialPerWeek: l.TrialPerWeek,
		Noise: l.Noise, NoiseScale: l.NoiseScale,
		ResearcherEpsilon: l.ResearcherEpsilon, TrialEpsilon: l.TrialEpsilon, Delta: l.Delta,
	}
	if err := own.Validate(); err != nil {
		return own, usageError{fmt.Errorf("settings: %w", err)}
	}
	return disclosure.Strictest(disclosure.Default(), own), nil
}

// shape is the setting circuits-shape: shard size, shards and slots of the
// network's circuits, such as 64x4x8. It has no flag, since it has to be the same
// at the hub and at every node for the life of the network.
type shape struct{ circuits.Shape }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *shape) UnmarshalText(text []byte) error {
	circuit, err := circuits.ParseCircuit("access-" + string(text))
	if err != nil {
		return usageError{fmt.Errorf("circuits-shape: %w", err)}
	}
	s.Shape = circuit.Shape()
	return nil
}

// runFile is where a running hub or node says how it is reached.
const runFile = "run.json"

// place is the content of the run file.
type place struct {
	URL     string `json:"url"`
	Process int    `json:"process,omitempty"` // number of the process that wrote it
}

// writePlace says where this program is reached, until remove is called. A
// successor may have the directory by then: what it wrote stays.
func writePlace(dir, url string) (remove func(), err error) {
	raw, err := json.Marshal(place{URL: url, Process: os.Getpid()})
	if err != nil {
		return nil, err
	}
	raw = append(raw, '\n')
	path := filepath.Join(dir, runFile)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, err
	}
	return func() {
		if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, raw) {
			_ = os.Remove(path)
		}
	}, nil
}

// readPlace returns where the program of a directory is reached.
func readPlace(dir string) (place, error) {
	var p place
	path := filepath.Join(dir, runFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return p, fmt.Errorf("nothing runs on %s, or it is not ready: its output says what it waits for", dir)
	}
	if err != nil {
		return p, err
	}
	if json.Unmarshal(raw, &p) != nil || p.URL == "" {
		return p, fmt.Errorf("%s is damaged: stop what runs there and start it again, it writes the file anew", path)
	}
	return p, nil
}

// readSecret returns the text of a secret's file, or of standard input for "-".
func readSecret(cmd *cobra.Command, path string) (string, error) {
	raw, err := readInput(cmd, path)
	return strings.TrimSpace(string(raw)), err
}

// maxInput bounds what is read of a file or of standard input.
const maxInput = 256 << 20

// readInput returns a file's content, or standard input's for "-".
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	from := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(raw) > maxInput {
		err = fmt.Errorf("%s: larger than %d MiB; split it", path, maxInput>>20)
	}
	return raw, err
}

// writeOutput writes a file that must not exist, or standard output for "-".
func writeOutput(cmd *cobra.Command, path string, data []byte, mode os.FileMode) error {
	return fillOutput(cmd, path, mode, func() ([]byte, error) { return data, nil })
}

// fillOutput is [writeOutput] of what fill returns. The file is made before, so
// that nothing is asked for that would be lost, and removed if there is nothing
// to write.
func fillOutput(cmd *cobra.Command, path string, mode os.FileMode, fill func() ([]byte, error)) error {
	if path == "-" {
		data, err := fill()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(data)
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	data, err := fill()
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
