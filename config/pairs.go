package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the keys and values of a mapping. A key that is given twice counts once and is an error. Keys that come from a
// merge (<<: *anchor) stand behind the mapping's own, which go before them.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	var own, merged []pair
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !d.full; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, d.merge(value, path)...)
			continue
		}
		if !d.isName(key, path) {
			continue
		}
		if f, ok := first[key.Value]; ok {
			d.at(spotOf(key), under(path, key.Value), fmt.Sprintf("is given twice, first in line %d", f.Line), "keep one of them")
			continue
		}
		first[key.Value] = key
		own = append(own, pair{key, value})
	}
	for _, p := range merged {
		if _, ok := first[p.key.Value]; !ok {
			first[p.key.Value] = p.key
			own = append(own, p)
		}
	}
	return own
}

// isName says whether a mapping's key is a text, and adds an error if it is not.
func (d *decoder) isName(key *yaml.Node, path string) bool {
	if isText(key) {
		return true
	}
	want := "want a name"
	if key.Kind == yaml.ScalarNode && key.Value != "" {
		want = "write " + quote(key.Value)
	}
	d.at(spotOf(key), path, "has "+describe(key)+" as a key", want)
	d.broken[under(path, key.Value)] = struct{}{}
	return false
}

// merge returns the keys and values that the value of a merge key stands for: a mapping's, or those of a list of mappings, of
// which earlier ones go first (the merge key of YAML 1.1, yaml.org/type/merge.html).
func (d *decoder) merge(n *yaml.Node, path string) (found []pair) {
	if !d.count(n) {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		d.unfold(n, path, func(target *yaml.Node) { found = d.merge(target, path) })
	case yaml.SequenceNode:
		for _, c := range n.Content {
			found = append(found, d.merge(c, path)...)
		}
	case yaml.MappingNode:
		d.expanded += len(n.Content)
		found = d.pairs(n, path)
	default:
		d.wrong(n, path, "merges "+describeKind(n), "want <<: *name, the alias of a mapping")
	}
	return found
}
