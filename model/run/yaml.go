package run

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// MaxConfigBytes bounds a configuration file.
const MaxConfigBytes = 1 << 20

// ParseConfig reads a YAML file: a recipe, and whatever departs from its
// defaults. Names that are no setting, values of the wrong kind, repeated keys,
// several documents, anchors and lists are refused, with line and column.
// A recipe that is not empty wins over the file's; an absent one is the first.
func ParseConfig(data []byte, recipe Recipe) (Config, error) {
	leaves, err := parseLeaves(data)
	if err != nil {
		return Config{}, err
	}
	for _, l := range leaves {
		if l.name == "recipe" && recipe == "" {
			recipe = Recipe(l.text)
			if _, ok := Default(recipe); !ok {
				var probe Config
				return Config{}, l.at(probe.Set("recipe", l.text))
			}
		}
	}
	if recipe == "" {
		recipe = recipes[0].Recipe
	}
	c, ok := Default(recipe)
	if !ok {
		return Config{}, c.Set("recipe", string(recipe))
	}
	set := map[string]bool{}
	for _, l := range leaves {
		if set[l.name] { // as model.dim and as dim below model
			return Config{}, fmt.Errorf("%d:%d: %s is set twice", l.keyLine, l.keyColumn, l.name)
		}
		if set[l.name] = true; l.name == "recipe" {
			continue
		}
		err := c.Set(l.name, l.text)
		if errors.Is(err, errUnknown) {
			return Config{}, fmt.Errorf("%d:%d: %w", l.keyLine, l.keyColumn, err)
		}
		if err != nil {
			return Config{}, l.at(err)
		}
	}
	return c, nil
}

// leaf is one scalar of the file.
type leaf struct {
	name, text         string
	line, column       int
	keyLine, keyColumn int
}

func (l leaf) at(err error) error { return fmt.Errorf("%d:%d: %w", l.line, l.column, err) }

func parseLeaves(data []byte) ([]leaf, error) {
	if len(data) > MaxConfigBytes {
		return nil, fmt.Errorf("the file has %d bytes, at most %d are read", len(data), MaxConfigBytes)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var where yaml.Error
		if errors.As(err, &where) && where.GetToken() != nil {
			p := where.GetToken().Position
			return nil, fmt.Errorf("%d:%d: %s", p.Line, p.Column, where.GetMessage())
		}
		return nil, err
	}
	if len(file.Docs) > 1 {
		return nil, errors.New("the file has several documents, want one")
	}
	var leaves []leaf
	if len(file.Docs) == 1 && file.Docs[0].Body != nil {
		err = walk(file.Docs[0].Body, "", &leaves)
	}
	return leaves, err
}

// walk collects the scalars below a node.
func walk(n ast.Node, path string, out *[]leaf) error {
	at := leaf{name: path}
	if t := n.GetToken(); t != nil {
		at.line, at.column = t.Position.Line, t.Position.Column
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := walk(v, path, out); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		key := n.Key.GetToken()
		name := key.Value
		if path != "" {
			name = path + "." + name
		}
		if strings.Count(name, ".") > 1 {
			return leaf{line: key.Position.Line, column: key.Position.Column}.at(fmt.Errorf("unknown setting %q", name))
		}
		if _, empty := n.Value.(*ast.NullNode); empty {
			return nil // a section whose lines are all commented out
		}
		found := len(*out)
		err := walk(n.Value, name, out)
		for i := found; i < len(*out); i++ {
			if l := &(*out)[i]; l.keyLine == 0 {
				l.keyLine, l.keyColumn = key.Position.Line, key.Position.Column
			}
		}
		return err
	case *ast.CommentGroupNode, *ast.CommentNode, *ast.NullNode:
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		at.text = n.GetToken().Value
		*out = append(*out, at)
	default:
		return at.at(fmt.Errorf("%s: a %s is no value here", path, strings.ToLower(n.Type().String())))
	}
	return nil
}

// YAML writes the whole configuration, with what each setting means. ParseConfig
// reads it back unchanged.
func (c Config) YAML() []byte {
	var b strings.Builder
	section := ""
	for _, s := range Settings(&c) {
		name := s.Name
		if head, tail, nested := strings.Cut(name, "."); nested {
			if head != section {
				fmt.Fprintf(&b, "\n%s:\n", head)
				section = head
			}
			name = "  " + tail
		}
		value := s.Value
		if s.Name == "data" {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, "%-26s # %s\n", name+": "+value, s.Help)
	}
	return []byte(b.String())
}
