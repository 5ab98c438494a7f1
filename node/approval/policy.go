package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// decisionPath is the rule that decides.
const decisionPath = "data.trialmesh.approval.decision"

// evaluationTime is the longest a policy may take over one question; an ordinary
// one takes well under a millisecond.
const evaluationTime = 5 * time.Second

// Kind says who decides about a question.
type Kind string

// The kinds.
const (
	Automatic Kind = "automatic" // nobody: the policy lets it pass
	Human     Kind = "human"     // a person at the site
	Refuse    Kind = "refuse"    // nobody: the policy refuses it
)

// Gate is a place where a question waits for a person.
type Gate string

// The gates.
const (
	Run     Gate = "run"     // before the question runs
	Release Gate = "release" // before its numbers leave the site
)

// Decision is what a policy says about a question: the value of its rule decision.
type Decision struct {
	Kind Kind `json:"decision"`

	// Reason says why, in a sentence of up to 300 bytes. That of a refusal is public.
	Reason string `json:"reason"`

	// Gates are those at which a person decides; some for Human, else none.
	Gates []Gate `json:"gates,omitempty"`

	// PublishApprovers lets the names (did:key) of who approved go with the answer.
	PublishApprovers bool `json:"publishApprovers,omitempty"`

	// Bands shows who approves before the release only the [Band] of how many persons the
	// sums of a method in rounds are over.
	Bands bool `json:"bands,omitempty"`
}

const maxReason = 300 // bytes

// At reports whether a person decides at a gate.
func (d Decision) At(g Gate) bool { return slices.Contains(d.Gates, g) }

func (d Decision) validate() error {
	switch {
	case d.Kind != Automatic && d.Kind != Human && d.Kind != Refuse:
		return errors.New(`decision: want "automatic", "human" or "refuse"`)
	case d.Kind == Human == (len(d.Gates) == 0):
		return errors.New(`gates: "run", "release" or both for a human decision, none for others`)
	case d.Reason == "" || len(d.Reason) > maxReason || !sentence(d.Reason):
		return fmt.Errorf("reason: one line of 1 to %d bytes", maxReason)
	}
	seen := make(map[Gate]bool)
	for _, gate := range d.Gates {
		if gate != Run && gate != Release || seen[gate] {
			return errors.New(`gates: "run" and "release", each once`)
		}
		seen[gate] = true
	}
	return nil
}

// Policy is a compiled bundle. It is safe for concurrent use.
type Policy struct {
	digest message.Digest
	query  rego.PreparedEvalQuery
	limit  time.Duration
	files  bundle
	sized  bool // a decision may depend on how many persons a question is about
}

// Load compiles the bundle at a path: a folder or a .tar.gz of Rego modules and
// data.json files; "" is the default policy. Its error says which line is wrong.
//
// A policy cannot reach out or be surprised: built-in functions whose value
// depends on anything but their arguments (http.send, time.now_ns, rand.intn,
// opa.runtime …) do not exist in it, and it sees no file but the bundle's.
func Load(ctx context.Context, at string) (*Policy, error) {
	p, err := load(ctx, at)
	if err != nil && at != "" {
		return nil, fmt.Errorf("approval policy %s: %w", at, err)
	}
	if err != nil {
		return nil, fmt.Errorf("default approval policy: %w", err)
	}
	return p, nil
}

func load(ctx context.Context, at string) (*Policy, error) {
	files, err := readBundle(at)
	if err != nil {
		return nil, err
	}
	p := &Policy{limit: evaluationTime, files: files}
	if p.digest, err = files.digest(); err != nil {
		return nil, err
	}
	compiler, err := compile(files)
	if err != nil {
		return nil, err
	}
	p.sized = readsSize(compiler)
	data, err := files.data()
	if err != nil {
		return nil, err
	}
	p.query, err = rego.New(rego.Query(decisionPath), rego.Compiler(compiler), rego.Store(inmem.NewFromObject(data)),
		rego.Capabilities(capabilities()), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	return p, err
}

func compile(files bundle) (*ast.Compiler, error) {
	modules := make(map[string]*ast.Module)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".rego" {
			continue
		}
		module, err := ast.ParseModuleWithOpts(name, string(files[name]), ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities()})
		if err != nil {
			return nil, err
		}
		modules[name] = module
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities())
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	if len(compiler.GetRules(ast.MustParseRef(decisionPath))) == 0 {
		return nil, errors.New("no rule decision in package trialmesh.approval")
	}
	return compiler, nil
}

// readsSize reports whether a rule reads the size of a question, or may: the whole of its
// input, or a field whose name is computed.
func readsSize(compiler *ast.Compiler) bool {
	reads := false
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With: // puts something in the place of input
			visitor.Walk(x.Value)
			return true
		case ast.Ref:
			if !x.HasPrefix(ast.InputRootRef) {
				return false
			}
			if len(x) == 1 {
				reads = true
				return true
			}
			name, fixed := x[1].Value.(ast.String)
			reads = reads || !fixed || name == "size"
			for _, term := range x[1:] {
				visitor.Walk(term)
			}
			return true
		case ast.Var:
			reads = reads || x.Equal(ast.InputRootDocument.Value)
		}
		return false
	})
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			visitor.Walk(rule)
		}
	}
	return reads
}

// capabilities are those of the language without what depends on more than arguments.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		return b.IsNondeterministic()
	})
	c.AllowNet = []string{}
	return c
}

// Digest names the policy.
func (p *Policy) Digest() message.Digest { return p.digest }

// Text returns the bundle's files one after the other, each below its path.
func (p *Policy) Text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		fmt.Fprintf(&b, "# %s\n%s\n", name, strings.TrimRight(string(p.files[name]), "\n"))
	}
	return b.String()
}

// Decide asks the policy. It fails if the policy has no answer, one that is not
// a [Decision], or takes too long.
func (p *Policy) Decide(ctx context.Context, in Input) (Decision, error) {
	document, err := plain(in)
	if err != nil {
		return Decision{}, err
	}
	return p.decide(ctx, document)
}

// decide is Decide about what [plain] returned.
func (p *Policy) decide(ctx context.Context, document map[string]any) (Decision, error) {
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	results, err := p.query.Eval(limited, rego.EvalInput(document))
	switch {
	case ctx.Err() != nil:
		return Decision{}, ctx.Err()
	case limited.Err() != nil:
		return Decision{}, fmt.Errorf("approval policy: no decision after %s", p.limit)
	case err != nil:
		return Decision{}, fmt.Errorf("approval policy: %w", err)
	case len(results) != 1 || len(results[0].Expressions) != 1:
		return Decision{}, errors.New("approval policy: the rule decision is undefined for this question")
	}
	raw, err := json.Marshal(results[0].Expressions[0].Value)
	if err != nil {
		return Decision{}, err
	}
	var d Decision
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Decision{}, errors.New("approval policy: decision has a field that is unknown or of the wrong type")
	}
	if err := d.validate(); err != nil {
		return Decision{}, fmt.Errorf("approval policy: %w", err)
	}
	return d, nil
}

// plain returns in as the maps and lists that Rego knows.
func plain(in Input) (map[string]any, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return document, dec.Decode(&document)
}
