package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlText is a YAML document as JSON, with where each of its parts stood.
type yamlText struct {
	json  bytes.Buffer
	marks []yamlMark
}

// yamlMark says where the part that begins at a byte of the JSON stood.
type yamlMark struct{ offset, line, column int }

// readYAML reads one document of the part of YAML that JSON has: no anchors, no tags of
// one's own, and names that are text and stand once.
func readYAML(raw []byte) (*yamlText, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var document yaml.Node
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty")
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	default:
		return nil, fmt.Errorf("line %d: more follows after the document", more.Line)
	}
	y := new(yamlText)
	return y, y.write(document.Content[0])
}

// place says where the part stood in which a byte of the JSON is.
func (y *yamlText) place(offset int64) string {
	i := sort.Search(len(y.marks), func(i int) bool { return int64(y.marks[i].offset) > offset })
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("line %d, column %d", y.marks[i-1].line, y.marks[i-1].column)
}

func (y *yamlText) write(n *yaml.Node) error {
	y.marks = append(y.marks, yamlMark{y.json.Len(), n.Line, n.Column})
	bad := func(what string) error { return fmt.Errorf("line %d, column %d: %s", n.Line, n.Column, what) }
	switch n.Kind {
	case yaml.MappingNode:
		return y.mapping(n, bad)
	case yaml.SequenceNode:
		y.json.WriteByte('[')
		for i, element := range n.Content {
			if i > 0 {
				y.json.WriteByte(',')
			}
			if err := y.write(element); err != nil {
				return err
			}
		}
		y.json.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return y.scalar(n, bad)
	}
	return bad("write the value out: anchors and aliases are not read")
}

func (y *yamlText) mapping(n *yaml.Node, bad func(string) error) error {
	seen := make(map[string]bool)
	y.json.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return fmt.Errorf("line %d, column %d: a name must be text; put it in quotes", key.Line, key.Column)
		}
		if seen[key.Value] {
			return fmt.Errorf("line %d, column %d: %q stands twice", key.Line, key.Column, key.Value)
		}
		seen[key.Value] = true
		if i > 0 {
			y.json.WriteByte(',')
		}
		if err := y.write(key); err != nil {
			return err
		}
		y.json.WriteByte(':')
		if err := y.write(n.Content[i+1]); err != nil {
			return err
		}
	}
	y.json.WriteByte('}')
	return nil
}

// scalar writes numbers, true, false and null as what they are, and the rest as text: a
// date is text, too.
func (y *yamlText) scalar(n *yaml.Node, bad func(string) error) error {
	var value any = n.Value
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
	case "!!null", "!!bool", "!!int", "!!float":
		if err := n.Decode(&value); err != nil {
			return bad(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return bad("a number must be finite")
		}
	default:
		return bad("a value cannot have the tag " + tag)
	}
	raw, err := json.Marshal(value)
	y.json.Write(raw)
	return err
}
