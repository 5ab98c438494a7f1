package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/trialmesh/trialmesh"

// layers are the levels of the import order: a package may import its own area
// and areas of deeper layers.
var layers = [][]string{
	{""},
	{"simulations"}, // starts hubs and nodes as their operators do; of it, main imports the benchmarks only
	{"node", "hub"},
	{"federation", "zk", "localstore", "connectors"},
	{"protocol"},
}

// doors names, for each heavy library, the only folders that may import it.
var doors = map[string][]string{
	"github.com/libp2p/":                                      {"federation/transport"},
	"github.com/multiformats/":                                {"federation/transport"},
	"github.com/hashicorp/raft":                               {"federation/consensus"},
	"github.com/hashicorp/memberlist":                         {"federation/membership"},
	"github.com/smallstep/":                                   {"federation/pki"},
	"go.step.sm/":                                             {"federation/pki"},
	"github.com/consensys/gnark":                              {"zk/ceremony", "zk/circuits", "zk/prover", "zk/verifier"},
	"github.com/ethereum/go-ethereum":                         {"zk/evm"},
	"github.com/mattn/go-sqlite3":                             {"localstore/sqldb"},
	"github.com/jackc/pgx":                                    {"localstore/sqldb", "localstore/jobs"},
	"github.com/apache/arrow-go/":                             {"connectors/source/parquet", "federation/report"}, // one reads, one writes
	"github.com/riverqueue/":                                  {"localstore/jobs"},
	"github.com/gin-gonic/gin":                                {"federation/front/router", "node/api", "hub/api"},
	"github.com/danielgtaylor/huma":                           {"federation/front/router", "node/api", "hub/api"},
	"github.com/transparency-dev/":                            {"federation/cosign"},
	"filippo.io/age":                                          {"node/backup"},
	"github.com/tink-crypto/":                                 {"localstore/raw"},
	"github.com/aws/":                                         {"localstore/bucket"},
	"github.com/open-policy-agent/":                           {"node/approval"},
	"golang.org/x/image/":                                     {"federation/report/figure"},
	"codeberg.org/go-fonts/":                                  {"federation/report/figure"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"node/api", "hub/api"},
}

// forbidden has what the import order alone would allow, each with its reason.
var forbidden = []struct{ from, to, why string }{
	{"hub", "localstore/omop", "hub code must not even be able to name a patient row"},
	{"hub", "localstore/dataset", "hub code must not even be able to name a patient row"},
	{"hub", "localstore/series", "hub code must not even be able to name a patient row"},
	{"hub", "localstore/raw", "hub code must not even be able to name a patient row"},
	{"hub", "localstore/vocab", "hub code must not even be able to name a patient row"},
	{"hub", "localstore/jobs", "the hub has no jobs; raft is its queue"},
	{"hub", "connectors/source", "the hub ingests nothing"},
	{"node", "hub", "node and hub meet in protocol only"},
	{"hub", "node", "node and hub meet in protocol only"},
	{"node", "simulations", "an installation needs no simulation"},
	{"hub", "simulations", "an installation needs no simulation"},
	{"", "simulations/lab", "an installation needs no simulation but that of its benchmarks"},
	{"", "simulations/network", "an installation needs no simulation but that of its benchmarks"},
	{"", "simulations/participants", "an installation needs no simulation but that of its benchmarks"},
	{"", "simulations/population", "an installation needs no simulation but that of its benchmarks"},
	{"", "simulations/testdata", "an installation needs no simulation but that of its benchmarks"},
	{"simulations/population", "node", "people are made without a site"},
	{"simulations/population", "hub", "people are made without a site"},
	{"", "zk/evm/inprocess", "an installation needs no simulated chain"},
	{"node", "zk/evm/inprocess", "an installation needs no simulated chain"},
	{"hub", "zk/evm/inprocess", "an installation needs no simulated chain"},
	{"", "zk/standin", "an installation proves"},
	{"hub", "zk/standin", "an installation proves"},
	{"zk/verifier", "zk/prover", "whoever verifies must not need a prover"},
}

// source is one parsed Go file.
type source struct {
	dir     string // below the module, "" for the root
	file    string
	test    bool
	imports []string
	syntax  *ast.File
}

// TestArchitecture checks the import order, the doors and that every package
// says what it is.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	files := readSources(t)
	require.NotEmpty(t, files)
	documented := make(map[string]bool)
	for _, f := range files {
		if f.syntax.Doc != nil {
			documented[f.dir] = true
		}
		for _, path := range f.imports {
			if reason := refuse(f, path); reason != "" {
				t.Errorf("%s imports %s: %s", f.file, path, reason)
			}
		}
	}
	for _, f := range files {
		if !f.test && !documented[f.dir] {
			t.Errorf("%s: the package has no package comment", cmp.Or(f.dir, "."))
			documented[f.dir] = true
		}
	}
}

func refuse(f source, path string) string {
	for library, homes := range doors {
		if strings.HasPrefix(path, library) && !f.test && !slices.ContainsFunc(homes, func(home string) bool { return within(f.dir, home) }) {
			return "only " + strings.Join(homes, ", ") + " may import " + strings.TrimSuffix(library, "/")
		}
	}
	target, own := strings.CutPrefix(path, module+"/")
	if !own {
		if within(f.dir, "protocol") && !f.test && strings.Contains(strings.Split(path, "/")[0], ".") && !strings.HasPrefix(path, "golang.org/x/crypto/") {
			return "protocol uses the standard library and x/crypto only, so that it is easy to rewrite in another language"
		}
		return ""
	}
	for _, rule := range forbidden {
		if inArea(f.dir, rule.from) && within(target, rule.to) && !f.test {
			return rule.why
		}
	}
	from, to := layerOf(f.dir), layerOf(target)
	switch {
	case f.test && target == "simulations/testdata":
		return "" // files, for whoever tests with them
	case to < from:
		return "imports point from main to protocol, never back"
	case to == from && area(f.dir) != area(target) && !f.test:
		return "packages of one level meet in the parent that assembles them"
	}
	return ""
}

func area(dir string) string { return strings.Split(dir, "/")[0] }

func within(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

// inArea is within, where the root folder is only itself.
func inArea(dir, folder string) bool {
	if folder == "" {
		return dir == ""
	}
	return within(dir, folder)
}

func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(areas []string) bool { return slices.Contains(areas, area(dir)) })
}

func readSources(t *testing.T) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" && !hasGo(path) || name == "node_modules" || name == "build" || path == "protocol/sdk" || name == "metricscompat") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		f := source{dir: filepath.ToSlash(filepath.Dir(path)), file: path, test: strings.HasSuffix(path, "_test.go"), syntax: syntax}
		if f.dir == "." {
			f.dir = ""
		}
		for _, spec := range syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		require.GreaterOrEqual(t, layerOf(f.dir), 0, "%s lies outside the layout", path)
		files = append(files, f)
		return nil
	})
	require.NoError(t, err)
	return files
}

// hasGo reports whether a folder named testdata is a package all the same.
func hasGo(dir string) bool {
	matches, err := filepath.Glob(filepath.Join(dir, "*.go"))
	return err == nil && len(matches) > 0
}

// TestArchitectureRefuses makes sure the rules above can fail.
func TestArchitectureRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dir, path string }{
		"hub names a patient row":     {"hub/dispatch", module + "/localstore/omop"},
		"node imports hub":            {"node/peer", module + "/hub/registry"},
		"protocol imports federation": {"protocol/query", module + "/federation/secagg"},
		"protocol imports a library":  {"protocol/query", "github.com/spf13/cobra"},
		"siblings import each other":  {"federation/secagg", module + "/localstore/sqldb"},
		"libp2p outside its door":     {"hub/dispatch", "github.com/libp2p/go-libp2p"},
		"verifier needs the prover":   {"zk/verifier", module + "/zk/prover"},
		"product imports the lab":     {"", module + "/simulations/population"},
		"node imports a simulation":   {"node", module + "/simulations/testdata"},
	} {
		require.NotEmpty(t, refuse(source{dir: c.dir}, c.path), name)
	}
	require.Empty(t, refuse(source{dir: "hub/registry"}, module+"/localstore/sqldb"))
	require.Empty(t, refuse(source{dir: "node/query"}, module+"/protocol/cohort"))
}

// TestTheTopLevelIsFixed keeps new capabilities beside the old ones.
func TestTheTopLevelIsFixed(t *testing.T) {
	t.Parallel()
	allowed := []string{"node", "hub", "federation", "zk", "localstore", "connectors", "protocol", "deploy", "simulations", "testdata", "bin", "build"}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			require.Contains(t, allowed, e.Name())
		}
	}
}
