package deploy

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const readmeMarker = "| value | default | meaning |\n|---|---|---|\n"

// TestReadme checks that the README's table is what values.yaml and its comments say, and so that every value is documented.
func TestReadme(t *testing.T) {
	file := chartDir + "/README.md"
	head, _, ok := strings.Cut(string(read(t, file)), readmeMarker)
	if !ok {
		t.Fatalf("%s has no table that begins with\n%s", file, readmeMarker)
	}
	checkFile(t, file, []byte(head+readmeMarker+valuesTable(t)))
}

func valuesTable(t *testing.T) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(read(t, chartDir+"/values.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	writeRows(t, &rows, "", doc.Content[0])
	if n := strings.Count(rows.String(), "\n"); n < 50 {
		t.Fatalf("found %d values: the walk is broken", n)
	}
	return rows.String()
}

// writeRows writes a row for every value that has a comment, and goes into the sections that have none.
func writeRows(t *testing.T, rows *strings.Builder, path string, section *yaml.Node) {
	t.Helper()
	for i := 0; i < len(section.Content); i += 2 {
		key, value := section.Content[i], section.Content[i+1]
		at := path + key.Value
		comment := meaning(key.HeadComment)
		isSection := value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0 && len(value.Content) > 0
		if comment != "" {
			fmt.Fprintf(rows, "| `%s` | %s | %s |\n", at, defaultOf(t, value, isSection), strings.ReplaceAll(comment, "|", `\|`))
		} else if !isSection {
			t.Errorf("values.yaml:%d: %s has no comment that says what it means", key.Line, at)
		}
		if isSection {
			writeRows(t, rows, at+".", value)
		}
	}
}

// meaning is the last paragraph of a comment as one line. Those before it belong to values that were left out, as examples.
func meaning(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	var words []string
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		words = append(words, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")))
	}
	return strings.Join(words, " ")
}

func defaultOf(t *testing.T, value *yaml.Node, isSection bool) string {
	t.Helper()
	if isSection {
		return "as below"
	}
	plain := *value
	plain.HeadComment, plain.LineComment, plain.FootComment = "", "", ""
	if plain.Kind == yaml.MappingNode || plain.Kind == yaml.SequenceNode {
		plain.Style = yaml.FlowStyle
	}
	text, err := yaml.Marshal(&plain)
	if err != nil {
		t.Fatal(err)
	}
	return "`" + strings.TrimSpace(string(text)) + "`"
}

// TestSchemaIsWhole checks that the schema has every value of values.yaml, and no other.
func TestSchemaIsWhole(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal(read(t, chartDir+"/values.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(read(t, chartDir+"/values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	checkSchema(t, "", doc.Content[0], schema, schema["definitions"].(map[string]any))
}

// checkSchema compares the names in a section of values.yaml with those that the schema has for it.
func checkSchema(t *testing.T, path string, section *yaml.Node, schema, definitions map[string]any) {
	t.Helper()
	properties, _ := resolve(schema, definitions)["properties"].(map[string]any)
	seen := map[string]bool{"global": path == ""} // Helm's own
	for i := 0; i < len(section.Content); i += 2 {
		name, value := section.Content[i].Value, section.Content[i+1]
		seen[name] = true
		inner, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("values.schema.json has no %s", path+name)
		} else if value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Style&yaml.FlowStyle == 0 && name != "config" {
			checkSchema(t, path+name+".", value, inner, definitions)
		}
	}
	for name := range properties {
		if !seen[name] {
			t.Errorf("values.schema.json has %s, which values.yaml has not", path+name)
		}
	}
}

func resolve(schema, definitions map[string]any) map[string]any {
	if ref, ok := schema["$ref"].(string); ok {
		return definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
	}
	return schema
}
