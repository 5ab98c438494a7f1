package cosign

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Policy says who may countersign a checkpoint and how many must, as a C2SP
// tlog-policy file does. The zero Policy names and demands nobody.
type Policy struct {
	Logs    []string // verifier keys of the logs it is about; may be empty
	Parties []Party
	Groups  []Group // members stand before the groups that have them

	// Quorum names the party or group that must have signed; empty for nobody.
	Quorum string
}

// Party is one who countersigns, in the file a "witness".
type Party struct {
	Name string // within the policy
	Key  string // see [CosignerKey]
	URL  string // where a C2SP tlog-witness takes checkpoints; may be empty
}

// KeyName returns the name under which the party signs.
func (p Party) KeyName() string {
	name, _, _ := strings.Cut(p.Key, "+")
	return name
}

// Group has signed if Least of its Members have: names of parties and groups.
type Group struct {
	Name    string
	Least   int
	Members []string
}

// Limits of a policy file.
const (
	maxPolicy = 1 << 20
	maxNames  = 1000
	nobody    = "none"
)

// Threshold is the policy that least of the keys must have signed, each under its
// own name. A least of 0 demands nobody.
func Threshold(least int, keys ...string) Policy {
	var p Policy
	all := Group{Name: "quorum", Least: least}
	for _, key := range keys {
		party := Party{Key: key}
		party.Name = party.KeyName()
		p.Parties = append(p.Parties, party)
		all.Members = append(all.Members, party.Name)
	}
	if least != 0 {
		p.Groups, p.Quorum = []Group{all}, all.Name
	}
	return p
}

// ParsePolicy reads a C2SP tlog-policy file.
func ParsePolicy(text []byte) (Policy, error) {
	if len(text) > maxPolicy {
		return Policy{}, fmt.Errorf("cosign: policy of more than %d bytes", maxPolicy)
	}
	r := reader{defined: make(map[string]bool)}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
			return Policy{}, fmt.Errorf("cosign: policy, line %d: %w", number, err)
		}
	}
	if r.quorums != 1 {
		return Policy{}, errors.New("cosign: policy: want one quorum line; quorum none demands no cosignature")
	}
	if _, err := r.policy.verifiers(); err != nil {
		return Policy{}, err
	}
	return r.policy, nil
}

// reader is a policy as far as its file was read.
type reader struct {
	policy  Policy
	defined map[string]bool // a line may use names of the lines before it only
	quorums int
}

func (r *reader) line(line string) error {
	if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return errors.New("a control character")
	}
	words := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	switch kind, rest := words[0], words[1:]; {
	case kind == "log" && (len(rest) == 1 || len(rest) == 2):
		return r.log(rest[0])
	case kind == "witness" && (len(rest) == 2 || len(rest) == 3):
		r.policy.Parties = append(r.policy.Parties, Party{Name: rest[0], Key: rest[1], URL: strings.Join(rest[2:], "")})
		r.defined[rest[0]] = true
	case kind == "group" && len(rest) >= 3:
		return r.group(rest[0], rest[1], rest[2:])
	case kind == "quorum" && len(rest) == 1:
		r.quorums++
		if rest[0] == nobody {
			return nil
		}
		r.policy.Quorum = rest[0]
		return r.uses(rest[0])
	default:
		return errors.New("want log, witness, group or quorum and what belongs to it")
	}
	return nil
}

func (r *reader) log(key string) error {
	if _, err := note.NewVerifier(key); err != nil {
		return fmt.Errorf("key of the log: %w", err)
	}
	if slices.ContainsFunc(r.policy.Logs, func(other string) bool { return publicBytes(other) == publicBytes(key) }) {
		return errors.New("the key of the log is listed twice")
	}
	r.policy.Logs = append(r.policy.Logs, key)
	return nil
}

func (r *reader) group(name, least string, members []string) error {
	group := Group{Name: name, Members: members}
	switch least {
	case "any":
		group.Least = 1
	case "all":
		group.Least = len(members)
	default:
		n, err := strconv.Atoi(least)
		if err != nil || strconv.Itoa(n) != least {
			return errors.New("a group needs all, any or a number of its members")
		}
		group.Least = n
	}
	if err := r.uses(members...); err != nil {
		return err
	}
	r.policy.Groups = append(r.policy.Groups, group)
	r.defined[name] = true
	return nil
}

func (r *reader) uses(names ...string) error {
	for _, name := range names {
		if !r.defined[name] {
			return fmt.Errorf("no line before defines %q", name)
		}
	}
	return nil
}

// validate checks that names are unique and used once, so that nobody counts
// twice, and that every group can be had.
func (p Policy) validate() error {
	if len(p.Parties)+len(p.Groups) > maxNames {
		return fmt.Errorf("cosign: policy with more than %d names", maxNames)
	}
	defined, used := map[string]bool{nobody: true}, make(map[string]bool)
	for _, party := range p.Parties {
		if party.Name == "" || defined[party.Name] {
			return fmt.Errorf("cosign: policy: %q names two, or nobody", party.Name)
		}
		defined[party.Name] = true
	}
	for _, g := range p.Groups {
		if g.Name == "" || defined[g.Name] {
			return fmt.Errorf("cosign: policy: %q names two, or nobody", g.Name)
		}
		if g.Least < 1 || g.Least > len(g.Members) {
			return fmt.Errorf("cosign: policy: group %q wants %d of %d members", g.Name, g.Least, len(g.Members))
		}
		for _, member := range g.Members {
			if member == nobody || !defined[member] || used[member] {
				return fmt.Errorf("cosign: policy: group %q has the member %q, which is not defined or in a group already", g.Name, member)
			}
			used[member] = true
		}
		defined[g.Name] = true
	}
	if p.Quorum == nobody || p.Quorum != "" && !defined[p.Quorum] {
		return fmt.Errorf("cosign: policy: the quorum %q is not defined", p.Quorum)
	}
	return nil
}

// satisfied reports whether those who signed, by their names, are a quorum.
func (p Policy) satisfied(signed map[string]bool) bool {
	have := maps.Clone(signed)
	for _, g := range p.Groups {
		count := 0
		for _, member := range g.Members {
			if have[member] {
				count++
			}
		}
		have[g.Name] = count >= g.Least
	}
	return p.Quorum == "" || have[p.Quorum]
}

// With returns the policy with more parties, whose cosignatures are known and not
// demanded. Keys that it has already are left out.
func (p Policy) With(keys ...string) Policy {
	more := p
	more.Parties = slices.Clone(p.Parties)
	for _, key := range keys {
		if slices.ContainsFunc(more.Parties, func(have Party) bool { return publicBytes(have.Key) == publicBytes(key) }) {
			continue
		}
		party := Party{Key: key}
		party.Name = party.KeyName()
		more.Parties = append(more.Parties, party)
	}
	return more
}

// String returns the policy as a tlog-policy file.
func (p Policy) String() string {
	var b strings.Builder
	for _, key := range p.Logs {
		fmt.Fprintf(&b, "log %s\n", key)
	}
	for _, party := range p.Parties {
		b.WriteString(strings.TrimSpace("witness "+party.Name+" "+party.Key+" "+party.URL) + "\n")
	}
	for _, g := range p.Groups {
		fmt.Fprintf(&b, "group %s %d %s\n", g.Name, g.Least, strings.Join(g.Members, " "))
	}
	fmt.Fprintf(&b, "quorum %s\n", cmp.Or(p.Quorum, nobody))
	return b.String()
}
